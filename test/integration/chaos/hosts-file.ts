/**
 * The rig as a hosts file of `deploy/chaos`, so that operators' scripts can be tried on it: each region's network namespace as
 * a host, and a command that starts each process again. Postgres is not in it.
 */

import { chmodSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { findNatsServer } from '../../../src/cli/dev/nats-server.ts';
import { OVATION_COMMAND } from '../../support/region-command.ts';
import { REGIONS, type Rig } from './rig.ts';

/** Answers the path of the file. */
export function writeHostsFile(rig: Rig): string {
  const lines: string[] = [];
  for (const region of REGIONS) {
    const machine = rig.machine(region);
    const folder = path.join(rig.folder, region);
    const regionPid = path.join(folder, 'region.pid');
    const natsPid = path.join(folder, 'nats.pid');
    const configured = Object.entries(machine.environment()).map(([name, value]) => `export ${name}='${value}'`);
    const command = `exec '${process.execPath}' '${OVATION_COMMAND}' region`;
    const nats = `exec ${findNatsServer()!.path} -c '${path.join(machine.nats.storeDir, 'nats-server.conf')}'`;
    writeFileSync(regionPid, `${machine.pid}\n`);
    writeFileSync(natsPid, `${machine.nats.pid}\n`);
    const settings = {
      api: machine.url,
      address: rig.network.addressOf(region),
      run: rig.network.launcherOf(region).join(' '),
      admin: machine.adminUrl,
      interface: 'eth0',
      topology: machine.topologyFile,
      ovation: `${process.execPath} ${OVATION_COMMAND}`,
      'region.pidfile': regionPid,
      'region.start': writeScript(path.join(folder, 'start-region.sh'), [...configured, `echo $$ >'${regionPid}'`, command]),
      'region.duplicate': writeScript(path.join(folder, 'start-duplicate.sh'), [
        ...configured,
        'export OVATION_PORT=0 OVATION_ADMIN_PORT=0',
        command,
      ]),
      'nats.pidfile': natsPid,
      'nats.start': writeScript(path.join(folder, 'start-nats.sh'), [`echo $$ >'${natsPid}'`, nats]),
      'nats.data': machine.nats.storeDir,
    };
    lines.push(...Object.entries(settings).map(([what, value]) => `${region}.${what} = ${value}`));
  }
  const file = path.join(rig.folder, 'hosts');
  writeFileSync(file, `${lines.join('\n')}\n`);
  return file;
}

function writeScript(file: string, lines: readonly string[]): string {
  writeFileSync(file, `#!/bin/sh\n${lines.join('\n')}\n`);
  chmodSync(file, 0o700);
  return file;
}
