/**
 * The operators' chaos scripts and their runbooks: that they belong together, say what they do, and go about it in order. They run
 * here against stand-ins; that each breaks and heals a real dev is tried by hand.
 */

import { spawnSync } from 'node:child_process';
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { createMemoryNetwork } from '../../regions/memory-log.ts';
import { createMemoryWindowQueue } from '../../src/analytics/memory-window-queue.ts';
import { createPostgresStore } from '../../src/analytics/postgres-store.ts';
import { realRuntime } from '../../src/base/runtime.ts';
import { readConfig } from '../../src/config.ts';
import { MemoryJournal, createMemoryStore } from '../../src/hot-store/memory-store.ts';
import { startRegion } from '../../src/region.ts';
import { SCRIPTS, StandIns } from './stand-ins.ts';

const ROOT = path.resolve(import.meta.dirname, '../..');
const RUNBOOKS = path.join(ROOT, 'docs/runbooks');
/** What scripts share is not executable by itself. */
const LIBRARIES = new Set(['checks', 'lib', 'nats-data', 'places', 'pod-network']);
/** Conditions that nobody brings about on purpose. */
const WITHOUT_SCRIPT = new Set(['README', 'late-peer', 'windows-behind']);
const scenarios = namesOf(SCRIPTS, '.sh').filter((name) => !LIBRARIES.has(name));
const TARGETS = ['dev', 'linux', 'kubernetes'] as const;

function namesOf(folder: string, ending: string): string[] {
  return readdirSync(folder).filter((name) => name.endsWith(ending)).map((name) => name.slice(0, -ending.length)).sort();
}

let standIns: StandIns;
beforeAll(() => (standIns = new StandIns()));
beforeEach(() => standIns.reset());
afterAll(() => standIns.remove());

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
  const topology = path.join(standIns.folder, 'topology.json');
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
        const help = await standIns.run(name, ['--help']);
        expect(help, help.stderr).toMatchObject({ code: 0 });
        expect(help.stdout).toContain(`docs/runbooks/${name}.md`);
        expect(help.stdout).toContain('Exit codes: 0');
        expect(await standIns.run(name, [...argumentsOf(name), 'ap', '--burn', 'x'])).toMatchObject({ code: 2, stdout: '' });
      }),
    );
    expect(standIns.calls()).toEqual([]);
  });

  test('[OPS-11] so are targets, durations and places that are none', async () => {
    const wrong = [['--target', 'moon'], ['--for', 'ever'], ['--hosts', '/nowhere'], ['--set', 'nonsense'], ['--for']];
    for (const args of wrong) expect(await standIns.run('partition', ['us', 'eu', ...args]), args.join(' ')).toMatchObject({ code: 2, stdout: '' });
    expect(await standIns.run('partition', ['us', 'eu', '--no-crowd'])).toMatchObject({ code: 2, stderr: expect.stringContaining('name with --stream') });
    expect(await standIns.run('overload', ['--no-crowd', '--stream', 'derby'])).toMatchObject({ code: 2, stderr: expect.stringContaining('the crowd is what overloads') });
    expect(await standIns.run('partition', ['us', 'us'])).toMatchObject({ code: 2, stderr: expect.stringContaining('two different regions') });
    expect(await standIns.run('partition', ['us', 'xx'])).toMatchObject({ code: 2, stderr: expect.stringContaining('there are us eu') });
    expect(standIns.done()).toEqual([]);
  });

  test.each(TARGETS)('[OPS-12] shows what it would do on %s, and does not', async (target) => {
    await Promise.all(
      scenarios.map(async (name) => {
        const args = [...argumentsOf(name), '--target', target, '--hosts', path.join(SCRIPTS, 'hosts.example'), '--dry-run'];
        const { code, stdout, stderr } = await standIns.run(name, args);
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
    expect(standIns.calls()).toEqual([]);
  });
});

describe('[OPS-13] in order', () => {
  const args = ['us', 'eu', '--for', '50ms', '--no-crowd', '--stream', 'derby'];
  const kubernetes = ['--target', 'kubernetes', '--set', 'us.api=http://us', '--set', 'eu.api=http://eu', ...args.slice(2)];

  test('[OPS-13] it breaks what is well, heals it, and says when all agree again', async () => {
    const { code, stderr } = await standIns.run('partition', args);
    expect(code, stderr).toBe(0);
    expect(standIns.done()).toEqual(['ovation chaos partition us eu', 'ovation chaos heal us eu']);
    expect(stderr).toMatch(/after: all agree again, within \d+\.\d s of the heal/);
  });

  test('[OPS-13] what is not well is not broken, unless it is forced', async () => {
    const stale = await standIns.run('partition', args, { STALENESS: '60' });
    expect(stale).toMatchObject({ code: 3, stderr: expect.stringContaining('us has not heard x for 60 s') });
    expect(standIns.done()).toEqual([]);
    expect((await standIns.run('partition', [...args, '--force', '--converge', '10ms'], { STALENESS: '60' })).code).toBe(1);
    expect(standIns.done()).toEqual(['ovation chaos partition us eu', 'ovation chaos heal us eu']);
  });

  test('[OPS-13] books that do not balance any more are a no, after its bound', async () => {
    const { ended } = standIns.start('partition', [...args, '--for', '2s', '--converge', '300ms']);
    await vi.waitFor(() => expect(standIns.done()).toHaveLength(1), { timeout: 60_000 });
    standIns.write('unbalanced', '');
    expect(await ended).toBe(1);
    expect(standIns.done()).toEqual(['ovation chaos partition us eu', 'ovation chaos heal us eu']);
  });

  test('[OPS-13] a fault that fails half way, and an interruption, are healed', async () => {
    expect((await standIns.run('partition', args, { UNABLE: 'yes' })).code).toBe(4);
    expect(standIns.done()).toEqual(['ovation chaos partition us eu', 'ovation chaos heal us eu']);
    standIns.reset();
    const { child, ended } = standIns.start('partition', [...args, '--for', '60s']);
    await vi.waitFor(() => expect(standIns.done()).toHaveLength(1), { timeout: 60_000 });
    child.kill('SIGTERM');
    expect(await ended).toBe(130);
    expect(standIns.done()).toEqual(['ovation chaos partition us eu', 'ovation chaos heal us eu']);
  });

  test('[OPS-13] on Kubernetes what is stopped must be gone, or it ends and is healed', async () => {
    const stop = [...kubernetes, '--context', 'there', '--converge', '120'];
    const { code, stderr } = await standIns.run('stop-database', stop);
    expect(code, stderr).toBe(0);
    expect(await standIns.run('stop-database', stop, { LEFT: '1' })).toMatchObject({ code: 4 });
    const called = standIns.calls().join('\n');
    const scaled = [...called.matchAll(/^kubectl .* scale .*--replicas=(\d)$/gm)].map((match) => match[1]);
    expect(scaled).toEqual(['0', '1', '0', '1']);
    // kubectl takes no time without a unit.
    expect(called).toContain('--timeout=120s');
    // The namespace is that of the context, unless another one is said.
    expect(called).toContain('kubectl --context=there get --raw /api/v1/namespaces/ovation/pods/http:one:9081/proxy/readyz');
  });

  test('[OPS-13] on Kubernetes each pod must have taken the fault, or it ends and is healed', async () => {
    const { code, stderr } = await standIns.run('half-open-link', ['us', 'eu', ...kubernetes]);
    expect(code, stderr).toBe(0);
    expect(standIns.faults()).toEqual(['drop', 'drop', 'delete', 'delete']);
    standIns.reset();
    expect(await standIns.run('half-open-link', ['us', 'eu', ...kubernetes], { ENDED: '3' })).toMatchObject({ code: 4, stderr: expect.stringContaining('did not end well (3)') });
    // Each pod has its turn, also in a heal, which is tried three times.
    expect(standIns.faults()).toEqual(['drop', 'drop', ...Array<string>(6).fill('delete')]);
  });

  test('[OPS-13] on Kubernetes a fault without an address to drop from would be none, so it ends', async () => {
    expect(await standIns.run('half-open-link', ['us', 'eu', ...kubernetes], { NO_ADDRESS: 'yes' })).toMatchObject({ code: 4 });
    expect(standIns.faults()).toEqual(['delete', 'delete']);
  });

  test('[OPS-13] what a target needs is asked for before anything is broken', async () => {
    const linux = ['us', 'eu', '--target', 'linux', '--set', 'us.api=http://us', '--set', 'eu.api=http://eu', '--set', '*.admin=http://x'];
    expect(await standIns.run('partition', linux)).toMatchObject({ code: 2, stderr: expect.stringContaining('eu.address is not set') });
    expect(await standIns.run('wipe-nats-data', linux.toSpliced(1, 1))).toMatchObject({ code: 2, stderr: expect.stringContaining('us.nats.pidfile is not set') });
    expect(standIns.done()).toEqual([]);
  });
});
