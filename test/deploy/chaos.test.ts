/**
 * The operators' chaos scripts and their runbooks: that they belong together, say what they do, and go about it in order. They run
 * here against stand-ins for `ovation` and `curl`; that each breaks and heals a real dev is tried by hand.
 */

import { execFile, spawn, spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { createMemoryNetwork } from '../../regions/memory-log.ts';
import { createMemoryWindowQueue } from '../../src/analytics/memory-window-queue.ts';
import { createPostgresStore } from '../../src/analytics/postgres-store.ts';
import { realRuntime } from '../../src/base/runtime.ts';
import { childEnvironment, readConfig } from '../../src/config.ts';
import { MemoryJournal, createMemoryStore } from '../../src/hot-store/memory-store.ts';
import { startRegion } from '../../src/region.ts';

const ROOT = path.resolve(import.meta.dirname, '../..');
const SCRIPTS = path.join(ROOT, 'deploy/chaos');
const RUNBOOKS = path.join(ROOT, 'docs/runbooks');
/** What scripts share is not executable by itself. */
const LIBRARIES = new Set(['lib', 'nats-data', 'pod-network']);
/** Conditions that nobody brings about on purpose. */
const WITHOUT_SCRIPT = new Set(['README', 'late-peer', 'windows-behind']);
const scenarios = namesOf(SCRIPTS, '.sh').filter((name) => !LIBRARIES.has(name));
const TARGETS = ['dev', 'linux', 'kubernetes'] as const;

function namesOf(folder: string, ending: string): string[] {
  return readdirSync(folder).filter((name) => name.endsWith(ending)).map((name) => name.slice(0, -ending.length)).sort();
}

let folder: string;
let calls: string;

beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'ovation-chaos-scripts-'));
  calls = path.join(folder, 'calls');
  mkdirSync(path.join(folder, 'bin'));
  const standIn = (name: string, text: string): void => {
    writeFileSync(path.join(folder, 'bin', name), `#!/bin/bash\necho "${name} $*" >>'${calls}'\n${text}\n`);
    chmodSync(path.join(folder, 'bin', name), 0o755);
  };
  for (const name of ['ssh', 'nft', 'tc', 'systemctl']) standIn(name, 'exit 1');
  standIn('kubectl', `
case "$*" in
  *' wait '*) exit "\${LEFT:-0}" ;;
  *exitCode*) echo "\${ENDED:-0}" ;;
  *pods,services*) echo '192.0.2.1 None' ;;
  *'-o name'*) echo pod/one ;;
  *metrics*) printf 'reactions_peer_staleness_seconds{peer="%s",region="x"} 0.5\\n' us eu ;;
  *'get pods'*) echo one ;;
esac`);
  standIn('curl', `case "$*" in */metrics*) printf 'reactions_peer_staleness_seconds{peer="x",region="y"} %s\\n' "\${STALENESS:-0.5}";; esac`);
  const status = { regions: ['us', 'eu'].map((id) => ({ id, api: `http://${id}`, admin: `http://${id}:9`, nats_data: folder })) };
  standIn('ovation', `
case "$*" in
  *status*) echo '${JSON.stringify(status)}' ;;
  audit*) [[ ! -e '${folder}/unbalanced' ]] ;;
  *partition*) [[ -z \${UNABLE:-} ]] ;;
esac`);
});
beforeEach(() => {
  rmSync(calls, { force: true });
  rmSync(path.join(folder, 'unbalanced'), { force: true });
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function environment(changes: Readonly<Record<string, string>> = {}): NodeJS.ProcessEnv {
  const { PATH = '' } = childEnvironment({});
  return { PATH: `${path.join(folder, 'bin')}:${PATH}`, OVATION_COMMAND: 'ovation', ...changes };
}

interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

function run(scenario: string, args: readonly string[], changes?: Readonly<Record<string, string>>): Promise<Ended> {
  return new Promise((resolve) => {
    const child = execFile(path.join(SCRIPTS, `${scenario}.sh`), args, { env: environment(changes) }, (_, stdout, stderr) =>
      resolve({ code: child.exitCode ?? -1, stdout, stderr }),
    );
  });
}

/** What was done to the regions, in order. */
function done(): string[] {
  if (!existsSync(calls)) return [];
  return readFileSync(calls, 'utf8').split('\n').filter((line) => /^(ovation (chaos|load)|nft|ssh)/.test(line) && !line.includes('status'));
}

/** What debug containers were told, in order. */
function faults(): string[] {
  const told = readFileSync(calls, 'utf8').matchAll(/^kubectl debug [\s\S]*?\b(drop|delete)\b/gm);
  return [...told].map((match) => match[1]!);
}

/** As many regions as it wants. */
function argumentsOf(scenario: string): string[] {
  const wanted = /^ARGUMENTS='([^']*)'/m.exec(readFileSync(path.join(SCRIPTS, `${scenario}.sh`), 'utf8'))![1]!;
  return ['us', 'eu'].slice(0, wanted.split(' ').filter(Boolean).length);
}

test('[OPS-10] every script has a runbook of its name, and every runbook a script unless nobody brings it about', () => {
  expect(scenarios.length).toBeGreaterThanOrEqual(14);
  expect(namesOf(RUNBOOKS, '.md').filter((name) => !WITHOUT_SCRIPT.has(name))).toEqual(scenarios);
  const index = readFileSync(path.join(RUNBOOKS, 'README.md'), 'utf8');
  for (const name of namesOf(RUNBOOKS, '.md').filter((each) => each !== 'README')) {
    const text = readFileSync(path.join(RUNBOOKS, `${name}.md`), 'utf8');
    const parts = [...text.matchAll(/^\*\*(\w+)\.\*\*/gm)].map((match) => match[1]);
    expect(parts, name).toEqual(['Symptom', 'Impact', 'Check', 'Fix', 'Verify']);
    expect(index).toContain(`(${name}.md)`);
    expect(text.includes(`deploy/chaos/${name}.sh`), name).toBe(scenarios.includes(name));
  }
});

test('[OPS-10] the metrics that runbooks name are there', async () => {
  const network = createMemoryNetwork(realRuntime);
  const nowhere = { url: 'nats://127.0.0.1:9' };
  const topology = path.join(folder, 'topology.json');
  writeFileSync(topology, JSON.stringify({ regions: { us: { nats: nowhere, peer: nowhere }, eu: { nats: nowhere, peer: nowhere } } }));
  const config = readConfig({ OVATION_REGION: 'us', OVATION_TOPOLOGY: topology, OVATION_PORT: '0', OVATION_ADMIN_PORT: '0', OVATION_LOG_LEVEL: 'silent' });
  const store = createPostgresStore({ url: 'postgres://127.0.0.1:9/none', log: { debug() {}, info() {}, warn() {}, error() {} } });
  const region = await startRegion(config, () => ({
    logWriter: network.writer('us'),
    logReaders: new Map([['eu', network.reader('eu', 'us')]]),
    hotStore: () => createMemoryStore(new MemoryJournal()),
    windowQueue: createMemoryWindowQueue(),
    windowStore: store,
    changeStore: store,
  }));
  const metrics = await (await fetch(`http://127.0.0.1:${region.adminPort}/metrics`)).text();
  const stopping = region.stop();
  const known = new Set([...metrics.matchAll(/^# TYPE (\S+)/gm)].map((match) => match[1]!));
  const named = namesOf(RUNBOOKS, '.md').flatMap((name) =>
    [...readFileSync(path.join(RUNBOOKS, `${name}.md`), 'utf8').matchAll(/\b(?:reactions|nodejs)_[a-z0-9_]+/g)].map((match) => `${name}: ${match[0]}`),
  );
  expect(named.length).toBeGreaterThan(40);
  expect(named.filter((each) => !known.has(each.split(': ')[1]!))).toEqual([]);
  await stopping;
});

describe('each script', () => {
  test('[OPS-11] helps, refuses what it does not understand, and touches nothing then', async () => {
    await Promise.all(
      scenarios.map(async (name) => {
        const help = await run(name, ['--help']);
        expect(help, help.stderr).toMatchObject({ code: 0 });
        expect(help.stdout).toContain(`docs/runbooks/${name}.md`);
        expect(help.stdout).toContain('Exit codes: 0');
        expect(await run(name, [...argumentsOf(name), 'ap', '--burn', 'x'])).toMatchObject({ code: 2, stdout: '' });
      }),
    );
    expect(existsSync(calls)).toBe(false);
  });

  test('[OPS-11] so are targets, durations and places that are none', async () => {
    const wrong = [['--target', 'moon'], ['--for', 'ever'], ['--hosts', '/nowhere'], ['--set', 'nonsense'], ['--for']];
    for (const args of wrong) expect(await run('partition', ['us', 'eu', ...args]), args.join(' ')).toMatchObject({ code: 2, stdout: '' });
    expect(await run('partition', ['us', 'us'])).toMatchObject({ code: 2, stderr: expect.stringContaining('two different regions') });
    expect(await run('partition', ['us', 'xx'])).toMatchObject({ code: 2, stderr: expect.stringContaining('there are us eu') });
    expect(done()).toEqual([]);
  });

  test.each(TARGETS)('[OPS-12] shows what it would do on %s, and does not', async (target) => {
    await Promise.all(
      scenarios.map(async (name) => {
        const args = [...argumentsOf(name), '--target', target, '--hosts', path.join(SCRIPTS, 'hosts.example'), '--dry-run'];
        const { code, stdout, stderr } = await run(name, args);
        expect(code, stderr).toBe(0);
        expect(stdout).toMatch(/^# before: [\s\S]+^# after: /m);
        expect(stdout).not.toMatch(/undefined|\{region\}/);
        expect(spawnSync('bash', ['-n'], { input: stdout, encoding: 'utf8' }), name).toMatchObject({ status: 0, stderr: '' });
        for (const [, manifest] of stdout.matchAll(/<<'JSON'\n([\s\S]+?)\nJSON/g)) {
          const metadata = { name: expect.stringMatching(/^[a-z0-9-]+$/) };
          expect(JSON.parse(manifest!)).toMatchObject({ apiVersion: expect.any(String), kind: expect.any(String), metadata, spec: expect.any(Object) });
        }
      }),
    );
    expect(existsSync(calls)).toBe(false);
  });
});

describe('[OPS-13] in order', () => {
  const args = ['us', 'eu', '--for', '50ms', '--no-crowd', '--stream', 'derby'];

  test('[OPS-13] it breaks what is well, heals it, and says when all agree again', async () => {
    const { code, stderr } = await run('partition', args);
    expect(code, stderr).toBe(0);
    expect(done()).toEqual(['ovation chaos partition us eu', 'ovation chaos heal us eu']);
    expect(stderr).toMatch(/after: all agree again, within \d+\.\d s of the heal/);
  });

  test('[OPS-13] what is not well is not broken, unless it is forced', async () => {
    const stale = await run('partition', args, { STALENESS: '60' });
    expect(stale).toMatchObject({ code: 3, stderr: expect.stringContaining('us has not heard x for 60 s') });
    expect(done()).toEqual([]);
    expect((await run('partition', [...args, '--force', '--converge', '10ms'], { STALENESS: '60' })).code).toBe(1);
    expect(done()).toEqual(['ovation chaos partition us eu', 'ovation chaos heal us eu']);
  });

  test('[OPS-13] books that do not balance any more are a no, after its bound', async () => {
    const child = spawn(path.join(SCRIPTS, 'partition.sh'), [...args, '--for', '2s', '--converge', '300ms'], { env: environment(), stdio: 'ignore' });
    const ended = new Promise((resolve) => child.once('exit', resolve));
    await vi.waitFor(() => expect(done()).toHaveLength(1), { timeout: 60_000 });
    writeFileSync(path.join(folder, 'unbalanced'), '');
    expect(await ended).toBe(1);
    expect(done()).toEqual(['ovation chaos partition us eu', 'ovation chaos heal us eu']);
  });

  test('[OPS-13] a fault that fails half way, and an interruption, are healed', async () => {
    expect((await run('partition', args, { UNABLE: 'yes' })).code).toBe(4);
    expect(done()).toEqual(['ovation chaos partition us eu', 'ovation chaos heal us eu']);
    rmSync(calls);
    const child = spawn(path.join(SCRIPTS, 'partition.sh'), [...args, '--for', '60s'], { env: environment(), stdio: 'ignore' });
    const ended = new Promise((resolve) => child.once('exit', resolve));
    await vi.waitFor(() => expect(done()).toHaveLength(1), { timeout: 60_000 });
    child.kill('SIGTERM');
    expect(await ended).toBe(130);
    expect(done()).toEqual(['ovation chaos partition us eu', 'ovation chaos heal us eu']);
  });

  test('[OPS-13] on Kubernetes what is stopped must be gone, or it ends and is healed', async () => {
    const stop = ['--target', 'kubernetes', '--namespace', 'ovation', '--set', 'us.api=http://us', '--set', 'eu.api=http://eu', '--for', '50ms', '--no-crowd'];
    const { code, stderr } = await run('stop-database', stop);
    expect(code, stderr).toBe(0);
    expect(await run('stop-database', stop, { LEFT: '1' })).toMatchObject({ code: 4 });
    const scaled = [...readFileSync(calls, 'utf8').matchAll(/^kubectl .* scale .*--replicas=(\d)$/gm)].map((match) => match[1]);
    expect(scaled).toEqual(['0', '1', '0', '1']);
  });

  test('[OPS-13] on Kubernetes each pod must have taken the fault, or it ends and is healed', async () => {
    const kubernetes = ['us', 'eu', '--target', 'kubernetes', '--set', 'us.api=http://us', '--set', 'eu.api=http://eu', '--for', '50ms', '--no-crowd'];
    const { code, stderr } = await run('half-open-link', kubernetes);
    expect(code, stderr).toBe(0);
    expect(faults()).toEqual(['drop', 'drop', 'delete', 'delete']);
    rmSync(calls);
    expect(await run('half-open-link', kubernetes, { ENDED: '3' })).toMatchObject({ code: 4, stderr: expect.stringContaining('did not end well (3)') });
    expect(faults()).toEqual(['drop', 'delete']);
  });

  test('[OPS-13] what a target needs is asked for before anything is broken', async () => {
    const linux = ['us', 'eu', '--target', 'linux', '--set', 'us.api=http://us', '--set', 'eu.api=http://eu', '--set', '*.admin=http://x'];
    expect(await run('partition', linux)).toMatchObject({ code: 2, stderr: expect.stringContaining('eu.address is not set') });
    expect(await run('wipe-nats-data', linux.toSpliced(1, 1))).toMatchObject({ code: 2, stderr: expect.stringContaining('us.nats.pidfile is not set') });
    expect(done()).toEqual([]);
  });
});
