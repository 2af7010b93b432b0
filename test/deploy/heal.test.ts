/** How chaos scripts heal: everywhere, again when it fails, whoever interrupts, and also what a killed script has left. */

import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import { StandIns } from './stand-ins.ts';

const ATTEMPTS = 3;
const DERBY = ['--for', '50ms', '--no-crowd', '--stream', 'derby'];

let standIns: StandIns;
beforeAll(() => (standIns = new StandIns()));
beforeEach(() => standIns.reset());
afterAll(() => standIns.remove());

/** Where faults were taken away, in order. */
function healedAt(): string[] {
  return standIns.calls().flatMap((line) => /^text on (\w+): .*delete table/.exec(line)?.slice(1) ?? []);
}

/** What is in the folder of the data, and in the data. */
function data(): { readonly names: string[]; readonly state: string } {
  const names = readdirSync(standIns.folder).filter((name) => name.startsWith('jetstream'));
  return { names, state: readFileSync(path.join(standIns.folder, 'jetstream/state'), 'utf8').trim() };
}

test('[OPS-14] it tries every place, again when one fails, and then says how to heal by hand', async () => {
  const settings = ['us.api=http://us', 'eu.api=http://eu', 'us.address=192.0.2.1', 'eu.address=192.0.2.2', '*.admin=http://x', '*.run=ssh {region}'];
  const linux = ['us', 'eu', '--target', 'linux', ...settings.flatMap((line) => ['--set', line]), ...DERBY];
  const { code, stderr } = await standIns.run('lossy-link', linux);
  expect(code, stderr).toBe(0);
  expect(healedAt()).toEqual(['us', 'eu']);
  standIns.reset();
  expect(await standIns.run('lossy-link', linux, { UNREACHABLE: 'us' })).toMatchObject({
    code: 4,
    stderr: expect.stringMatching(/NOT HEALED.*lossy-link\.sh us eu --target linux .*--heal --stream derby$/m),
  });
  expect(healedAt()).toEqual(Array.from({ length: ATTEMPTS }, () => ['us', 'eu']).flat());
});

test('[OPS-14] interrupted while it heals, it and what it has started go on', async () => {
  const { child, ended } = standIns.start('partition', ['us', 'eu', ...DERBY], { HEAL_WAITS: 'yes' });
  await vi.waitFor(() => expect(standIns.calls()).toContain('ovation chaos heals'), { timeout: 60_000 });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.kill(-child.pid!, signal);
  standIns.write('go-on', '');
  expect(await ended).toBe(0);
  // At the first attempt: it was not even disturbed.
  expect(standIns.calls().filter((line) => /heal/.test(line))).toEqual(['ovation chaos heal us eu', 'ovation chaos heals', 'ovation chaos has healed']);
});

test('[OPS-14] a terminal that is closed is healed like Ctrl-C', async () => {
  const { child, ended } = standIns.start('partition', ['us', 'eu', ...DERBY, '--for', '60s']);
  await vi.waitFor(() => expect(standIns.done()).toHaveLength(1), { timeout: 60_000 });
  process.kill(-child.pid!, 'SIGHUP');
  expect(await ended).toBe(130);
  expect(standIns.done()).toEqual(['ovation chaos partition us eu', 'ovation chaos heal us eu']);
});

test('[OPS-14] what a killed script has left is healed alone, and agreement waited for', async () => {
  const { code, stderr } = await standIns.run('partition', ['us', 'eu', '--heal']);
  expect(code, stderr).toBe(0);
  expect(standIns.done()).toEqual(['ovation chaos heal us eu']);
  expect(stderr).toContain('all agree again');
  // Nobody has tapped the stream that is made up for it.
  expect(standIns.calls().filter((line) => line.startsWith('ovation audit'))).toContainEqual(expect.stringContaining('--allow-empty'));
});

test('[OPS-15] the data of a server that did not stop is not touched, and the server is started', async () => {
  standIns.write('jetstream/state', 'old');
  expect(await standIns.run('wipe-nats-data', ['us', ...DERBY], { STUCK: 'yes' })).toMatchObject({ code: 4 });
  expect(data()).toEqual({ names: ['jetstream'], state: 'old' });
  expect(standIns.done()).toEqual(['ovation chaos stop us-nats', 'ovation chaos start us-nats', 'ovation chaos start us-nats']);
});

test('[OPS-15] a stale state is put back only when its copy is whole, and only after the wait', async () => {
  standIns.write('jetstream/state', 'old');
  const { code, stderr } = await standIns.run('restore-stale-nats-data', ['us', ...DERBY]);
  expect(code, stderr).toBe(0);
  expect(data()).toEqual({ names: ['jetstream'], state: 'old' });

  standIns.write('jetstream/state', 'kept');
  expect((await standIns.run('restore-stale-nats-data', ['us', ...DERBY], { TORN: 'yes' })).code).toBe(4);
  expect(data()).toEqual({ names: ['jetstream'], state: 'kept' });

  standIns.reset();
  standIns.write('jetstream/state', 'old');
  const { child, ended } = standIns.start('restore-stale-nats-data', ['us', ...DERBY, '--for', '60s']);
  await vi.waitFor(() => expect(standIns.done()).toContain('ovation chaos start us-nats'), { timeout: 60_000 });
  await vi.waitFor(() => expect(data().state).toBe('newer'), { timeout: 60_000 });
  child.kill('SIGTERM');
  expect(await ended).toBe(130);
  expect(data()).toEqual({ names: ['jetstream'], state: 'newer' });
});

test('[OPS-18] a server on a host is started once, also when it is slow to leave its number, and hears signals', async () => {
  const at = (name: string): string => path.join(standIns.folder, name);
  standIns.write('jetstream/state', 'old');
  standIns.write('start', `echo started >>'${at('calls')}'\nsleep 0.3\necho $$ >'${at('nats.pid')}'\nexec sleep 1000\n`);
  standIns.write('nats.pid', '');
  const settings = ['us.api=http://us', 'eu.api=http://eu', '*.admin=http://x', `us.nats.data=${standIns.folder}`, `us.nats.pidfile=${at('nats.pid')}`, `us.nats.start=exec bash ${at('start')}`];
  const linux = ['us', '--target', 'linux', ...settings.flatMap((line) => ['--set', line]), ...DERBY];
  const { code, stderr } = await standIns.run('restore-stale-nats-data', linux);
  const pid = Number(readFileSync(at('nats.pid'), 'utf8'));
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  process.kill(pid);
  expect(code, stderr).toBe(0);
  // After the copy and after the return; the heal finds it running.
  expect(standIns.calls().filter((line) => line === 'started')).toHaveLength(2);
  expect(/^SigIgn:\s+(\w+)/m.exec(status)![1]).toMatch(/^0+$/);
});

test('[OPS-16] the token of a file is shown by the audits, and a file that cannot be read is wrong use', async () => {
  const token = path.join(standIns.folder, 'moderator.jwt');
  expect(await standIns.run('partition', ['us', 'eu', ...DERBY, '--token-file', token])).toMatchObject({ code: 2 });
  writeFileSync(token, 'a.b.c');
  expect((await standIns.run('partition', ['us', 'eu', ...DERBY, '--token-file', token])).code).toBe(0);
  const audits = standIns.calls().filter((line) => line.startsWith('ovation audit'));
  expect(audits.length).toBeGreaterThan(1);
  // A stream that is said to be tapped must not be empty.
  for (const line of audits) expect(line).toMatch(/--token-file \S+moderator\.jwt(?!.*--allow-empty)/);
});

test('[OPS-17] a tool that is missing is named, with how to install it', async () => {
  const { code, stderr } = await standIns.runWith(['node', 'awk'], 'partition', ['us', 'eu', ...DERBY]);
  expect({ code, stderr }).toEqual({ code: 4, stderr: expect.stringContaining('curl is missing here: apt-get install curl') });
});
