/**
 * `ovation region` as an operator runs it: a process of the build, configured by its environment, on real nats-servers that
 * whoever starts it has started. For tests and benchmarks that stop it, kill it, or look at it from outside.
 */

import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import type { NatsServer } from '../../src/cli/dev/nats-server.ts';
import type { RegionReady } from '../../src/cli/region.ts';
import { childEnvironment } from '../../src/config.ts';

/** The commands of the build, from the sources and from the build itself. */
export const OVATION_COMMAND = ['../../src/cli/main.js', '../../dist/src/cli/main.js'].map((place) => path.resolve(import.meta.dirname, place)).find(existsSync) ?? '';

const OUTPUT_CHARACTERS_MAX = 65_536;

export interface RegionCommand {
  readonly child: ChildProcess;
  readonly url: string;
  readonly adminUrl: string;
  /** What it said last on its standard output and error. */
  readonly output: () => string;
  /** Resolves with the exit code, or null when a signal ended it. */
  readonly ended: Promise<number | null>;
  /** Bytes of memory that it has in RAM; 0 when that cannot be read here. */
  residentBytes(): number;
}

export interface RegionCommandOptions {
  readonly region: string;
  /** Of every region, its own included. */
  readonly servers: ReadonlyMap<string, NatsServer>;
  readonly environment?: Readonly<Record<string, string>>;
  readonly nodeOptions?: readonly string[];
  /** Is given every line that it says, however much that is. */
  readonly onLine?: (line: string) => void;
}

/** Resolves when it is ready. @throws when it ends before, with what it said */
export async function startRegionCommand({ region, servers, environment = {}, nodeOptions = [], onLine }: RegionCommandOptions): Promise<RegionCommand> {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'ovation-region-'));
  const topology = path.join(folder, 'topology.json');
  const regions = [...servers].map(([name, { address, peerAddress }]) => [name, { nats: address, peer: peerAddress }]);
  writeFileSync(topology, JSON.stringify({ regions: Object.fromEntries(regions) }));
  const child = fork(OVATION_COMMAND, ['region'], {
    env: childEnvironment({
      OVATION_REGION: region,
      OVATION_TOPOLOGY: topology,
      OVATION_PORT: '0',
      OVATION_ADMIN_PORT: '0',
      OVATION_LOG_LEVEL: 'warn',
      ...environment,
    }) as NodeJS.ProcessEnv,
    execArgv: [...nodeOptions],
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  });
  let output = '';
  for (const stream of [child.stdout!, child.stderr!]) {
    stream.setEncoding('utf8');
    stream.on('data', (chunk: string) => (output = (output + chunk).slice(-OUTPUT_CHARACTERS_MAX)));
    if (onLine !== undefined) stream.on('data', linesOf(onLine));
  }
  const ended = once(child, 'close').then(([code]: unknown[]) => {
    rmSync(folder, { recursive: true, force: true });
    return code as number | null;
  });
  const early = ended.then((code) => {
    throw new Error(`region ${region} ended with ${code} before it was ready: ${output}`);
  });
  early.catch(() => {});
  const [{ ready }] = (await Promise.race([once(child, 'message'), early])) as [{ readonly ready: RegionReady }];
  return {
    child,
    url: `http://127.0.0.1:${ready.port}`,
    adminUrl: `http://127.0.0.1:${ready.adminPort}`,
    output: () => output,
    ended,
    residentBytes: () => residentBytesOf(child.pid!),
  };
}

/** Takes pieces of a text, of which a line without an end is cut into several. */
function linesOf(onLine: (line: string) => void): (piece: string) => void {
  let begun = '';
  return (piece) => {
    const lines = (begun + piece).split('\n');
    begun = lines.pop()!;
    for (const line of lines) onLine(line);
    if (begun.length > OUTPUT_CHARACTERS_MAX) {
      onLine(begun);
      begun = '';
    }
  };
}

function residentBytesOf(pid: number): number {
  try {
    return Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) * 1024;
  } catch {
    return 0;
  }
}
