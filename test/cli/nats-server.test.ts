import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { NatsServerFailed, natsServerConfig, startNatsServer } from '../../src/cli/dev/nats-server.ts';
import { natsAvailable } from '../support/nats.ts';

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), 'ovation-nats-server-'));
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

test('[CLI-24] the configuration uses only words that the version knows', () => {
  const options = { region: 'us', storeDir: '/data', port: 4222, passwords: { region: 'a', peer: 'b' } };
  expect(natsServerConfig('2.9.10', options)).not.toContain('sync_interval');
  expect(natsServerConfig('2.10.27', options)).toContain('sync_interval');
  expect(natsServerConfig('3.0.0', options)).toContain('sync_interval');
});

describe.skipIf(!natsAvailable)('nats-server process', () => {
  test('[CLI-26] it comes back on its port after a kill, and says so when the port is taken', async () => {
    const server = await startNatsServer({ region: 'us', storeDir: folder });
    const { port, pid } = server;
    await server.kill();
    expect(server.pid).toBeUndefined();
    await server.restart();
    expect(server.port).toBe(port);
    expect(server.pid).not.toBe(pid);
    const rival = startNatsServer({ region: 'us', storeDir: path.join(folder, 'rival'), port });
    await expect(rival).rejects.toThrow(NatsServerFailed);
    await expect(rival).rejects.toThrow('address already in use');
    await server.stop();
    await server.stop();
  });

  test('[CLI-25] it does not outlive the process that started it, not even a killed one', async () => {
    const source = `import { runnerImport } from 'vite';
      const { module } = await runnerImport('./src/cli/dev/nats-server.ts');
      const server = await module.startNatsServer({ region: 'us', storeDir: ${JSON.stringify(folder)} });
      console.log(server.port);`;
    const parent = spawn(process.execPath, ['--input-type=module', '--eval', source], { stdio: ['ignore', 'pipe', 'inherit'] });
    const port = await new Promise<number>((resolve) => parent.stdout.once('data', (line: Buffer) => resolve(Number(line))));
    expect(await isListening(port)).toBe(true);
    parent.kill('SIGKILL');
    await expect.poll(() => isListening(port)).toBe(false);
  });
});

function isListening(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });
}
