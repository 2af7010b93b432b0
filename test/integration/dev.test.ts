/** `ovation dev` and the commands around it, as an operator runs them: real processes, real signals. */

import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import type { DevStatus } from '../../src/web/live/dev-api.ts';
import { natsAvailable } from '../support/nats.ts';

const ROOT = path.resolve(import.meta.dirname, '../..');
const MAIN = path.join(ROOT, 'dist/src/cli/main.js');
const READY_MS_MAX = 60_000;

interface Finished {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A command that runs: its output so far, and how it ends. */
class Running {
  stdout = '';
  stderr = '';
  readonly child: ChildProcess;
  readonly finished: Promise<Finished>;

  constructor(args: readonly string[], [program, ...first]: readonly [string, ...string[]] = [process.execPath, MAIN], cwd = tmpdir()) {
    this.child = spawn(program, [...first, ...args], { stdio: ['ignore', 'pipe', 'pipe'], cwd });
    this.child.stdout!.on('data', (chunk: Buffer) => (this.stdout += chunk.toString()));
    this.child.stderr!.on('data', (chunk: Buffer) => (this.stderr += chunk.toString()));
    this.finished = new Promise((resolve) => {
      this.child.once('close', (code) => resolve({ code, stdout: this.stdout, stderr: this.stderr }));
    });
  }
}

function ovation(...args: readonly string[]): Promise<Finished> {
  return new Running(args).finished;
}

let folder: string;
let port: number;
let url: string;
let dev: Running | null = null;

beforeAll(() => {
  // Nothing is done when the build is of these very sources.
  const { status, stdout } = spawnSync(process.execPath, [path.join(ROOT, 'deploy/local/build.mjs')], { encoding: 'utf8' });
  expect(status, stdout).toBe(0);
  folder = mkdtempSync(path.join(tmpdir(), 'ovation-dev-test-'));
});
afterEach(async () => {
  dev?.child.kill('SIGKILL');
  await dev?.finished;
  dev = null;
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function startDev(...args: readonly string[]): Promise<DevStatus> {
  port = await findFreeRange();
  url = `http://127.0.0.1:${port}`;
  dev = new Running(['dev', '--port', String(port), ...args]);
  const started = dev;
  await vi.waitFor(() => expect(started.stdout, started.stderr).toContain('Ready in'), { timeout: READY_MS_MAX, interval: 50 });
  return status();
}

async function status(): Promise<DevStatus> {
  return (await (await fetch(`${url}/dev/status`)).json()) as DevStatus;
}

/** A port after which the ports that a dev needs are free too, outside the range of ephemeral ones. */
async function findFreeRange(): Promise<number> {
  for (let attempt = 0; attempt < 50; attempt++) {
    const base = 20_000 + Math.floor(Math.random() * 10_000);
    const wanted = [0, 1, 2, 3, 101, 102, 103].map((offset) => base + offset);
    if ((await Promise.all(wanted.map(isFree))).every(Boolean)) return base;
  }
  throw new Error('no free range of ports found');
}

function isFree(candidate: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(candidate, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}

/** Every process below one, by id: children, their children, and so on. */
function descendants(pid: number): number[] {
  const children = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && parentOf(name) === pid)
    .map(Number);
  return [...children, ...children.flatMap(descendants)];
}

function parentOf(pid: string): number {
  try {
    return Number(/^PPid:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);
  } catch {
    return 0;
  }
}

/** Running, and not merely waiting to be collected by its parent. */
function isRunning(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}

async function expectGone(pids: readonly number[]): Promise<void> {
  await vi.waitFor(() => expect(pids.filter(isRunning)).toEqual([]), { timeout: 15_000 });
  for (const offset of [0, 1, 2, 3, 101, 102, 103]) {
    await vi.waitFor(async () => expect(await isFree(port + offset), `port ${port + offset}`).toBe(true), { timeout: 15_000 });
  }
}

describe.skipIf(!natsAvailable)('on real nats-servers', () => {
  test('[E2E-8] through broken links, a pause, a deleted log, kill -9 of a region and of a nats-server, and of everything, the books balance', { timeout: 180_000 }, async () => {
    const data = path.join(folder, 'data');
    const started = await startDev('--data', data, '--shards', '4');
    expect(started.regions.map(({ id, state, parts }) => [id, state, parts['log']?.split(' ')[0]])).toEqual([
      ['us', 'running', 'nats-server'],
      ['eu', 'running', 'nats-server'],
      ['ap', 'running', 'nats-server'],
    ]);

    const load = ovation('load', '--url', url, '--stream', 'derby', '--viewers', '60', '--rate', '4', '--duration', '8s', '--json');
    const cut = ovation('chaos', 'partition', 'us', 'eu', '--for', '3s', '--url', url, '--json');
    await vi.waitFor(async () => expect((await status()).links[0]).toMatchObject({ from: 'us', to: 'eu', state: 'cut' }), { timeout: 10_000 });
    expect((await ovation('chaos', 'kill', 'ap', '--url', url)).code).toBe(0);
    expect((await ovation('chaos', 'kill', 'eu-nats', '--url', url)).code).toBe(0);
    expect(await cut).toMatchObject({ code: 0 });
    const others = [['pause', 'us', '--for', '500ms'], ['half-open', 'us', 'ap', '--for', '1s'], ['lose', 'us', 'eu', '20%', '--for', '1s'], ['delete-stream', 'us', 'log']];
    const broken = await Promise.all(others.map((args) => ovation('chaos', ...args, '--url', url)));
    expect(broken.map(({ code }) => code), broken.map(({ stderr }) => stderr).join('')).toEqual([0, 0, 0, 0]);
    await vi.waitFor(
      async () => {
        const { regions, links } = await status();
        expect(regions.map(({ id, state, restarts }) => [id, state, restarts])).toEqual([
          ['us', 'running', 0],
          ['eu', 'running', 1],
          ['ap', 'running', 1],
        ]);
        expect(links.map(({ state }) => state)).toEqual(['up', 'up', 'up']);
      },
      { timeout: 60_000 },
    );

    const { code, stdout, stderr } = await load;
    expect(JSON.parse(stdout || 'null'), stderr).toMatchObject({ balanced: true, problems: [], in_doubt: 0, regions: ['us', 'eu', 'ap'] });
    expect(code).toBe(0);
    const before = await ovation('audit', '--stream', 'derby', '--url', url, '--wait', '20s', '--json');
    expect(before).toMatchObject({ code: 0 });

    // Everything at once, dev too, and nobody to clean up.
    const everything = descendants(dev!.child.pid!);
    expect(everything.length).toBeGreaterThanOrEqual(7);
    dev!.child.kill('SIGKILL');
    await expectGone(everything);

    await startDev('--data', data, '--shards', '4');
    const after = await ovation('audit', '--stream', 'derby', '--url', url, '--wait', '30s', '--json');
    expect(after.code, after.stdout).toBe(0);
    expect(JSON.parse(after.stdout).totals).toEqual(JSON.parse(before.stdout).totals);

    // Two signals within a moment are one Ctrl-C under npm: still an orderly stop.
    const processes = descendants(dev!.child.pid!);
    dev!.child.kill('SIGINT');
    dev!.child.kill('SIGINT');
    const ended = await dev!.finished;
    expect(ended, ended.stderr).toMatchObject({ code: 0 });
    expect(ended.stdout).toContain('Stopped.');
    await expectGone(processes);
    expect(existsSync(data)).toBe(true);
  });
});

test('[CLI-11] embedded: the same commands work, what it lacks is said, and nothing is left behind', { timeout: 120_000 }, async () => {
  const { regions } = await startDev('--embedded', '--regions', 'us,eu');
  expect(regions.map(({ id, nats_pid }) => [id, nats_pid])).toEqual([['us', null], ['eu', null]]);

  const load = await ovation('load', '--url', url, '--stream', 'derby', '--viewers', '20', '--duration', '2s', '--json');
  expect(JSON.parse(load.stdout || 'null'), load.stderr).toMatchObject({ balanced: true });
  expect(await ovation('chaos', 'kill', 'us', '--url', url)).toMatchObject({ code: 2, stderr: expect.stringContaining('install nats-server') });

  // Regions that cannot hear each other differ, and the audit says so until they can.
  expect((await ovation('chaos', 'partition', 'us', 'eu', '--url', url)).code).toBe(0);
  const tapped = await fetch(`${regions[0]!.api}/reactions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ stream_id: 'derby', viewer_id: 'ann', emoji_id: 'heart', count_since_last: 3, timestamp: Date.now() }),
  });
  expect(tapped.status).toBe(202);
  const apart = await ovation('audit', '--stream', 'derby', '--url', url, '--json');
  expect(apart.code).toBe(1);
  expect(JSON.parse(apart.stdout).differences).toContainEqual({ kind: 'entry', text: expect.stringMatching(/^eu holds \d+ heart of us/) });
  expect((await ovation('chaos', 'heal', '--url', url)).code).toBe(0);
  expect((await ovation('audit', '--stream', 'derby', '--url', url, '--wait', '15s')).code).toBe(0);

  const second = await ovation('dev', '--embedded', '--port', String(port));
  expect(second).toMatchObject({ code: 2, stderr: expect.stringContaining(`port ${port} (the live page) is taken`) });

  const processes = descendants(dev!.child.pid!);
  const folders = folderNames(dev!.child.pid!);
  dev!.child.kill('SIGTERM');
  expect(await dev!.finished).toMatchObject({ code: 0 });
  await expectGone(processes);
  for (const name of folders) expect(existsSync(name)).toBe(false);
});

test('[CLI-27] npm start ends in order when npm is told to, and says what an embedded run keeps', { timeout: 60_000 }, async () => {
  port = await findFreeRange();
  const args = ['--embedded', '--regions', 'us', '--data', path.join(folder, 'embedded'), '--port', String(port)];
  // Without scripts before it: the build is done.
  dev = new Running(args, ['npm', 'start', '--ignore-scripts', '--'], ROOT);
  const started = dev;
  await vi.waitFor(() => expect(started.stdout, started.stderr).toContain('Ready in'), { timeout: READY_MS_MAX, interval: 50 });
  expect(dev.stdout).toContain('the windows only');
  const processes = descendants(dev.child.pid!);
  expect(processes.length).toBeGreaterThanOrEqual(2);
  dev.child.kill('SIGTERM');
  await expectGone(processes);
  expect((await dev.finished).stdout).toContain('Stopped.');
});

test('[CLI-11] a dev that cannot start says why, and leaves nothing behind', { timeout: 60_000 }, async () => {
  port = await findFreeRange();
  dev = new Running(['dev', '--port', String(port), '--database-url', 'postgres://127.0.0.1:9/none']);
  const started = dev;
  const seen = new Set<number>();
  const watching = setInterval(() => descendants(started.child.pid!).forEach((pid) => seen.add(pid)), 20);
  const ended = await dev.finished;
  clearInterval(watching);
  expect(ended).toMatchObject({ code: 3, stderr: expect.stringContaining('the database does not answer') });
  await expectGone([...seen]);
});

test('[CLI-7] exit codes say what kind of no it is', async () => {
  const codes = await Promise.all(
    [
      ['--help'],
      ['load', '--help'],
      ['load', '--viewers', 'many'],
      ['region'],
      ['load', '--endpoint', 'http://127.0.0.1:9', '--duration', '1s'],
      ['audit', '--stream', 'x', '--endpoint', 'http://127.0.0.1:9'],
      ['load', '--endpoint', 'ftp://x'],
      ['--version'],
    ].map((args) => ovation(...args)),
  );
  expect(codes.map(({ code }) => code)).toEqual([0, 0, 2, 2, 3, 3, 2, 0]);
  expect(codes.at(-1)!.stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
  for (const { stderr } of codes) expect(stderr).not.toContain('    at ');
  expect(await ovation('migrate', '--database-url', 'postgres://127.0.0.1:9/none')).toMatchObject({ code: 3, stderr: expect.stringContaining('ovation: the database does not answer') });
});

/** The folders that a process' children were told to keep data in. */
function folderNames(pid: number): string[] {
  return descendants(pid).flatMap((child) => {
    const args = readFileSync(`/proc/${child}/cmdline`, 'utf8').split('\0');
    const at = args.indexOf('--data');
    return at === -1 ? [] : [path.dirname(args[at + 1]!)];
  });
}
