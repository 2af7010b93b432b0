/** `ovation moderate` against a real edge with a control plane behind it. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Command, CommanderError } from 'commander';
import { SignJWT } from 'jose';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import type { StreamId } from '../../crdt/ids.ts';
import { realRuntime } from '../../src/base/runtime.ts';
import { CommandFailure } from '../../src/cli/failure.ts';
import { addModerateCommand } from '../../src/cli/moderate.ts';
import type { Edge } from '../../src/edge/server.ts';
import { createControlPlane, type ControlPlane, type RecordedChange } from '../../src/moderation/control-plane.ts';
import { DEFAULT_BASE, type Policy } from '../../src/moderation/policy.ts';
import { FakeRegion, startEdge } from '../edge/fake-region.ts';

const SECRET = 'a secret of at least thirty-two characters';
const DERBY = 'derby' as StreamId;

interface Ran {
  readonly output: string;
  /** Why it failed, and the message. */
  readonly failure: readonly [reason: string, message: string] | null;
}

async function run(...args: readonly string[]): Promise<Ran> {
  const lines: string[] = [];
  const log = vi.spyOn(console, 'log').mockImplementation((line: string) => void lines.push(line));
  const out = vi.spyOn(process.stdout, 'write').mockImplementation((text) => lines.push(String(text)) > 0);
  const err = vi.spyOn(process.stderr, 'write').mockImplementation((text) => lines.push(String(text)) > 0);
  try {
    const program = new Command('ovation').exitOverride();
    addModerateCommand(program);
    await program.parseAsync(['moderate', ...args], { from: 'user' });
    return { output: lines.join('\n'), failure: null };
  } catch (error) {
    if (error instanceof CommandFailure) return { output: lines.join('\n'), failure: [error.reason, error.message] };
    if (error instanceof CommanderError) return { output: lines.join('\n'), failure: error.exitCode === 0 ? null : ['usage', error.message] };
    throw error;
  } finally {
    for (const spy of [log, out, err]) spy.mockRestore();
  }
}

describe('ovation moderate', () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'ovation-moderate-'));
  const tokenFile = path.join(folder, 'moderator.jwt');
  const recorded: RecordedChange[] = [];
  let plane: ControlPlane;
  let edge: Edge;
  let http: string;

  const tokenOf = (claims: object): Promise<string> =>
    new SignJWT({ sub: 'mo', role: 'moderator', streams: '*', ...claims }).setProtectedHeader({ alg: 'HS256' }).setExpirationTime('5m').sign(new TextEncoder().encode(SECRET));
  const policy = (stream = DERBY): Policy => plane.policyOf(stream);
  const moderate = (...args: readonly string[]): Promise<Ran> => run(...args, '--endpoint', http, '--token-file', tokenFile);

  beforeAll(async () => writeFileSync(tokenFile, `${await tokenOf({})}\n`));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  beforeEach(async () => {
    const region = new FakeRegion();
    recorded.length = 0;
    plane = createControlPlane({ base: DEFAULT_BASE, clock: realRuntime.clock, log: region.log, publish() {}, record: (change) => recorded.push(change) });
    const changes = async (document: string) => recorded.filter((change) => change.document === document).map((change, index) => ({ id: String(index), region: 'us', ...change })).toReversed();
    ({ edge, http } = await startEdge(region, { config: { jwt: { secret: SECRET } }, policyOf: plane.policyOf, control: { plane, changes } }));
  });
  afterEach(() => edge.stop({ graceMs: 200 }));

  it('[CONS-10] does what the console does, and has done it when it ends', async () => {
    expect(await moderate('derby', 'mute', 'viewer:bot-7', '--for', '1h', '--take-back', '10m', '--reason', 'a bot')).toEqual({
      output: 'stream.derby: muted viewer bot-7; us has it',
      failure: null,
    });
    const held = policy().mutedViewers.get('bot-7')!;
    expect(held).toMatchObject({ by: 'mo', reason: 'a bot', liftedAt: null });
    expect([held.until! - held.at, held.at - held.retractFrom!]).toEqual([3_600_000, 600_000]);
    expect(Math.abs(held.at - Date.now())).toBeLessThan(60_000);
    await moderate('derby', 'unmute', 'bot-7');
    expect(policy().mutedViewers.get('bot-7')!.liftedAt).not.toBeNull();
    await moderate('derby', 'retract', 'device:tv', '--take-back', '5m');
    expect(policy().mutedDevices.get('tv')).toMatchObject({ retractFrom: expect.any(Number) as unknown });
    await moderate('derby', 'emoji', 'star', '--glyph', '⭐', '--order', '0');
    await moderate('derby', 'emoji', 'sad', '--hide');
    expect([...policy().palette].slice(0, 2)).toEqual([['heart', '❤️'], ['star', '⭐']]);
    expect(policy().palette.has('sad' as never)).toBe(false);
    await moderate('global', 'limit', 'viewer', '--per-second', '10');
    expect(policy().limits.viewer).toEqual({ ...DEFAULT_BASE.limits.viewer, tapsPerSecondMax: 10 });
    await moderate('derby', 'level', 'hearts');
    await moderate('derby', 'spread', '4');
    await moderate('derby', 'state', 'draining');
    expect(policy()).toMatchObject({ level: 'hearts', spread: 4, state: 'draining' });
    await moderate('derby', 'level', 'auto');
    expect(policy().level).toBeNull();
    expect((await moderate('derby', 'end', '--yes', '--json')).output).toMatch(/^\{"document":"stream.derby","region":"us","done":"ended","by":"mo","at":\d+\}$/);
    expect(policy().state).toBe('ended');
    expect((await moderate('derby', 'end', '--yes')).output).toBe('stream.derby: had ended before; us has it');
    await moderate('global', 'revoke', 'eve');
    expect(plane.revokedBefore('eve')).toBeGreaterThan(Date.now() - 60_000);
  });

  it('[CONS-11] shows what is in force and who changed it, and no command for the terminal among it', async () => {
    await moderate('derby', 'mute', 'bot-7', '--reason', 'red\u001b[31m', '--by', 'Mo\u0007');
    await moderate('derby', 'limit', 'device', '--burst', '7');
    const { output } = await moderate('derby', 'show');
    expect(output.split('\n')).toEqual(
      expect.arrayContaining(['stream.derby in us', '  state   live', `  limit   device: ${DEFAULT_BASE.limits.device.tapsPerSecondMax} taps a second, 7 in a burst`, '  mute    viewer bot-7, for good, by Mo\ufffd, red\ufffd[31m']),
    );
    expect(JSON.parse((await moderate('derby', 'show', '--json')).output)).toMatchObject({ document: 'stream.derby', limits: { device: { tapBurstMax: 7 } } });
    const changes = (await moderate('derby', 'changes')).output.split('\n');
    expect(changes).toHaveLength(2);
    expect(changes[0]).toMatch(/^\S+ {2}us {2}mo limit per device: in a burst 7$/);
    expect(changes[1]).toMatch(/ {2}mo muted viewer bot-7 for good: red\ufffd\[31m$/);
    expect((await moderate('gala', 'changes')).output).toBe('Nothing was changed yet.');
  });

  it('[CONS-12] refuses in one sentence what is wrong, before anything is changed', async () => {
    const refusals: readonly (readonly [args: string[], reason: string, message: RegExp])[] = [
      [['a.b', 'show'], 'usage', /neither a stream nor global/],
      [['derby', 'mute', 'x y'], 'usage', /viewer:<id>/],
      [['derby', 'mute', 'bot', '--reason', 'x'.repeat(281)], 'usage', /at most 280 characters/],
      [['derby', 'unmute', 'nobody'], 'no', /not muted/],
      [['derby', 'emoji', 'star'], 'usage', /--glyph/],
      [['derby', 'emoji', 'star', '--show', '--forget'], 'usage', /--forget alone/],
      [['derby', 'end'], 'usage', /--yes/],
      [['global', 'end', '--yes'], 'usage', /one by one/],
      [['derby', 'revoke', 'eve'], 'usage', /global/],
      [['derby', 'spread', '0'], 'usage', /1 to 256/],
      [['derby', 'level', 'fast'], 'usage', /exact/],
      [['derby', 'dance'], 'usage', /dance/],
    ];
    for (const [args, reason, message] of refusals) {
      const { failure } = await moderate(...args);
      expect([args, failure]).toEqual([args, [reason, expect.stringMatching(message)]]);
    }
    expect(recorded).toEqual([]);
    expect((await run('--help')).output).toContain('retract');
  });

  it('[CONS-12] says who may not, and which region cannot be reached', async () => {
    const as = async (claims: object): Promise<Ran> => run('derby', 'state', 'draining', '--endpoint', http, '--token', await tokenOf(claims));
    expect((await as({ role: 'viewer' })).failure).toEqual(['usage', expect.stringMatching(/role.*moderator or admin/)]);
    expect((await as({ streams: ['gala'] })).failure).toEqual(['usage', expect.stringMatching(/does not name derby/)]);
    expect((await run('derby', 'show', '--endpoint', http)).failure).toEqual(['usage', expect.stringMatching(/token/)]);
    expect((await run('derby', 'show', '--endpoint', 'http://127.0.0.1:1')).failure).toEqual(['unreachable', expect.stringMatching(/cannot be reached/)]);
    expect((await run('derby', 'show', '--endpoint', http, '--token-file', path.join(folder, 'none'))).failure).toEqual(['usage', expect.stringMatching(/cannot be read/)]);
    expect(recorded).toEqual([]);
  });
});
