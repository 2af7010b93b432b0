/**
 * `ovation dev` and the commands around it, as an operator runs them: real processes, real signals. Each dev has ports of its own, so that
 * what waits for most of its time, the course through all faults, and the rest can be tried at the same time.
 */

import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi, type TestContext } from 'vitest';
import { describeDev } from '../../src/cli/dev.ts';
import { childEnvironment } from '../../src/config.ts';
import type { DevStatus } from '../../src/web/live/dev-api.ts';
import { natsAvailable } from '../support/nats.ts';

const ROOT = path.resolve(import.meta.dirname, '../..');
const MAIN = path.join(ROOT, 'dist/src/cli/main.js');
const READY_MS_MAX = 180_000;
/** Of a dev: the live page, the regions, and their admin ports. */
const PORTS = [0, 1, 2, 3, 101, 102, 103];
const PORT_FIRST = 20_000;
const PORTS_PER_RANGE = 1_000;

type Command = readonly [string, ...string[]];
const OVATION: Command = [process.execPath, MAIN];

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

  constructor(args: readonly string[], [program, ...first]: Command = OVATION, cwd = tmpdir(), temporary = tmpdir()) {
    const env = childEnvironment({ TMPDIR: temporary }) as NodeJS.ProcessEnv;
    this.child = spawn(program, [...first, ...args], { stdio: ['ignore', 'pipe', 'pipe'], cwd, env });
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

beforeAll(() => {
  // Nothing is done when the build is of these very sources.
  const { status, stdout } = spawnSync(process.execPath, [path.join(ROOT, 'deploy/local/build.mjs')], { encoding: 'utf8' });
  expect(status, stdout).toBe(0);
  folder = mkdtempSync(path.join(tmpdir(), 'ovation-dev-test-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A dev that runs, or tries to. What it makes of itself it makes in a folder of its own. */
class Dev {
  readonly port: number;
  readonly url: string;
  readonly temporary = mkdtempSync(path.join(folder, 'temporary-'));
  readonly running: Running;

  constructor(port: number, args: readonly string[], { onTestFinished }: TestContext, command?: Command) {
    this.port = port;
    this.url = `http://127.0.0.1:${port}`;
    this.running = new Running([...args, '--port', String(port)], command, command && ROOT, this.temporary);
    onTestFinished(async () => {
      const { child, finished } = this.running;
      // One that did not get as far as its end; under npm it is not our child, and would go on.
      if (child.exitCode === null && child.signalCode === null) [...this.processes(), child.pid!].forEach(killNow);
      await finished;
    });
  }

  async ready(): Promise<DevStatus> {
    const { running } = this;
    await vi.waitFor(() => expect(running.stdout, running.stderr).toContain('Ready in'), { timeout: READY_MS_MAX, interval: 50 });
    return this.status();
  }

  async status(): Promise<DevStatus> {
    return (await (await fetch(`${this.url}/dev/status`)).json()) as DevStatus;
  }

  kill(signal: NodeJS.Signals): void {
    this.running.child.kill(signal);
  }

  processes(): number[] {
    return descendants(this.running.child.pid!);
  }

  /** What it keeps where it was told to keep nothing, but for the folder that all devs of a user share. */
  leftovers(): string[] {
    return readdirSync(this.temporary, { encoding: 'utf8', recursive: true }).filter((name) => !/^ovation-dev-\d+$/.test(name));
  }

  /** Also its ports are free again. */
  async expectGone(pids: readonly number[]): Promise<void> {
    await vi.waitFor(() => expect(pids.filter(isRunning)).toEqual([]), { timeout: 60_000 });
    for (const offset of PORTS) {
      await vi.waitFor(async () => expect(await isFree(this.port + offset), `port ${this.port + offset}`).toBe(true), { timeout: 60_000 });
    }
  }
}

let ranges = 0;

/** A port after which the ports that a dev needs are free too, outside the range of ephemeral ones and apart from those found before. */
async function findFreeRange(): Promise<number> {
  const first = PORT_FIRST + PORTS_PER_RANGE * ranges++;
  for (let attempt = 0; attempt < 50; attempt++) {
    const base = first + Math.floor(Math.random() * (PORTS_PER_RANGE - PORTS.at(-1)!));
    if ((await Promise.all(PORTS.map((offset) => isFree(base + offset)))).every(Boolean)) return base;
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

/** It may have ended by itself by now. */
function killNow(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
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

describe.skipIf(!natsAvailable).concurrent('on real nats-servers', () => {
  test('[E2E-8] [CLI-43] through broken links, a pause, a deleted log, kill -9 of a region and of a nats-server, and of everything, the books balance', { timeout: 600_000 }, async (context) => {
    const data = path.join(folder, 'data');
    const args = ['dev', '--data', data, '--shards', '4'];
    const first = new Dev(await findFreeRange(), args, context);
    const { url } = first;
    const started = await first.ready();
    expect(started.regions.map(({ id, state, parts }) => [id, state, parts['log']?.split(' ')[0]])).toEqual([
      ['us', 'running', 'nats-server'],
      ['eu', 'running', 'nats-server'],
      ['ap', 'running', 'nats-server'],
    ]);

    const load = ovation('load', '--url', url, '--stream', 'derby', '--viewers', '60', '--rate', '4', '--duration', '8s', '--json');
    // It needs all regions until it has read their books.
    await vi.waitFor(async () => expect(await countedBy(started.regions[0]!.api)).toBeGreaterThan(0), { timeout: 60_000, interval: 50 });
    const cut = ovation('chaos', 'partition', 'us', 'eu', '--for', '3s', '--url', url, '--json');
    await vi.waitFor(async () => expect((await first.status()).links[0]).toMatchObject({ from: 'us', to: 'eu', state: 'cut' }), { timeout: 60_000 });
    expect((await ovation('chaos', 'kill', 'ap', '--url', url)).code).toBe(0);
    expect((await ovation('chaos', 'kill', 'eu-nats', '--url', url)).code).toBe(0);
    expect(await cut).toMatchObject({ code: 0 });
    const others = [['pause', 'us', '--for', '500ms'], ['half-open', 'us', 'ap', '--for', '1s'], ['lose', 'us', 'eu', '20%', '--for', '1s'], ['delete-stream', 'us', 'log']];
    const broken = await Promise.all(others.map((each) => ovation('chaos', ...each, '--url', url)));
    expect(broken.map(({ code }) => code), broken.map(({ stderr }) => stderr).join('')).toEqual([0, 0, 0, 0]);
    await vi.waitFor(
      async () => {
        const { regions, links } = await first.status();
        expect(regions.map(({ id, state, restarts }) => [id, state, restarts])).toEqual([
          ['us', 'running', 0],
          ['eu', 'running', 1],
          ['ap', 'running', 1],
        ]);
        expect(links.map(({ state }) => state)).toEqual(['up', 'up', 'up']);
      },
      { timeout: 180_000 },
    );

    const { code, stdout, stderr } = await load;
    expect(JSON.parse(stdout || 'null'), stderr).toMatchObject({ balanced: true, problems: [], in_doubt: 0, regions: ['us', 'eu', 'ap'] });
    expect(code).toBe(0);
    const before = await ovation('audit', '--stream', 'derby', '--url', url, '--wait', '60s', '--json');
    expect(before).toMatchObject({ code: 0 });

    // Everything at once, dev too, and nobody to clean up.
    const everything = first.processes();
    expect(everything.length).toBeGreaterThanOrEqual(7);
    // Who stands still hears of nothing.
    expect((await ovation('chaos', 'pause', 'us', '--url', url)).code).toBe(0);
    first.kill('SIGKILL');
    await first.expectGone(everything);

    const second = new Dev(await findFreeRange(), args, context);
    await second.ready();
    const after = await ovation('audit', '--stream', 'derby', '--url', second.url, '--wait', '60s', '--json');
    expect(after.code, after.stdout).toBe(0);
    expect(JSON.parse(after.stdout).totals).toEqual(JSON.parse(before.stdout).totals);

    // Two signals within a moment are one Ctrl-C under npm: still an orderly stop.
    const processes = second.processes();
    second.kill('SIGINT');
    second.kill('SIGINT');
    const ended = await second.running.finished;
    expect(ended, ended.stderr).toMatchObject({ code: 0 });
    expect(ended.stdout).toContain('Stopped.');
    await second.expectGone(processes);
    expect(existsSync(data)).toBe(true);
  });
});

describe.concurrent('one after another, meanwhile', () => {
  test.sequential('[CLI-11] [CLI-27] npm start, embedded: the same commands work, what it lacks is said, and told to end npm leaves nothing behind', { timeout: 600_000 }, async (context) => {
    // Without scripts before it: the build is done.
    const dev = new Dev(await findFreeRange(), ['--embedded', '--regions', 'us,eu'], context, ['npm', 'start', '--ignore-scripts', '--']);
    const { url, port } = dev;
    const { regions } = await dev.ready();
    expect(regions.map(({ id, nats_pid }) => [id, nats_pid])).toEqual([['us', null], ['eu', null]]);

    const [load, killed, another] = await Promise.all([
      ovation('load', '--url', url, '--stream', 'derby', '--viewers', '20', '--duration', '2s', '--json'),
      ovation('chaos', 'kill', 'us', '--url', url),
      ovation('dev', '--embedded', '--port', String(port)),
    ]);
    expect(JSON.parse(load.stdout || 'null'), load.stderr).toMatchObject({ balanced: true });
    expect(killed).toMatchObject({ code: 2, stderr: expect.stringContaining('install nats-server') });
    expect(another).toMatchObject({ code: 2, stderr: expect.stringContaining(`port ${port} (the live page) is taken`) });

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
    expect((await ovation('audit', '--stream', 'derby', '--url', url, '--wait', '60s')).code).toBe(0);

    const processes = dev.processes();
    // npm, dev and the database at least.
    expect(processes.length).toBeGreaterThanOrEqual(2);
    expect(dev.leftovers()).not.toEqual([]);
    dev.kill('SIGTERM');
    const ended = await dev.running.finished;
    expect(ended, ended.stderr).toMatchObject({ code: 0, stdout: expect.stringContaining('Stopped.') });
    await dev.expectGone(processes);
    expect(dev.leftovers()).toEqual([]);
  });

  test.sequential('[CLI-11] a dev that cannot start says why, and leaves nothing behind', { timeout: 180_000 }, async (context) => {
    const dev = new Dev(await findFreeRange(), ['dev', '--database-url', 'postgres://127.0.0.1:9/none'], context);
    const seen = new Set<number>();
    const watching = setInterval(() => dev.processes().forEach((pid) => seen.add(pid)), 20);
    const ended = await dev.running.finished;
    clearInterval(watching);
    expect(ended).toMatchObject({ code: 3, stderr: expect.stringContaining('the database does not answer') });
    await dev.expectGone([...seen]);
    expect(dev.leftovers()).toEqual([]);
  });

  test.sequential('[CLI-7] exit codes say what kind of no it is', async () => {
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
        ['migrate', '--database-url', 'postgres://127.0.0.1:9/none'],
      ].map((args) => ovation(...args)),
    );
    expect(codes.map(({ code }) => code)).toEqual([0, 0, 2, 2, 3, 3, 2, 0, 3]);
    expect(codes.at(-2)!.stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
    expect(codes.at(-1)!.stderr).toContain('ovation: the database does not answer');
    for (const { stderr } of codes.slice(0, -1)) expect(stderr).not.toContain('    at ');
  });
});

test('[CLI-11] an embedded dev says what it keeps of the data', () => {
  const region = { id: 'us', api: 'http://127.0.0.1:1', admin: 'http://127.0.0.1:2', pid: 3, nats_data: null, state: 'running', parts: { log: 'memory' }, restarts: 0 } as const;
  const describeWith = (nats_pid: number | null, data?: string): string =>
    describeDev('http://127.0.0.1:4', { regions: [{ ...region, nats_pid }], links: [], database: 'none', crowd: {} as DevStatus['crowd'] }, data);
  expect(describeWith(null, './data')).toContain('the windows only');
  expect(describeWith(5, './data')).not.toContain('the windows only');
  expect(describeWith(null)).toContain('temporary, removed at the end');
});

/** Taps of the stream that the load goes to, as a region has counted them. */
async function countedBy(api: string): Promise<number> {
  const { totals } = (await (await fetch(`${api}/streams/derby/reactions`)).json()) as { readonly totals: Readonly<Record<string, number>> };
  return Object.values(totals).reduce((sum, each) => sum + each, 0);
}
