/** The moderators' door: a stock provider through it, and everything that may not come through it. */

import { SignJWT } from 'jose';
import { afterEach, describe, expect, it } from 'vitest';
import * as Y from 'yjs';
import type { StreamId } from '../../crdt/ids.ts';
import { realRuntime } from '../../src/base/runtime.ts';
import { createControlPlane, type ControlPlane } from '../../src/moderation/control-plane.ts';
import { contentOf, mute, revoke, setEmoji } from '../../src/moderation/policy-doc.ts';
import { DEFAULT_BASE } from '../../src/moderation/policy.ts';
import { answerMessage, questionMessage, updateMessage } from '../../src/moderation/sync-protocol.ts';
import type { ControlLimits } from '../../src/edge/options.ts';
import { CONTROL_SUBPROTOCOL, controlProtocols } from '../../src/protocol/control.ts';
import { livedTime } from '../support/lived-time.ts';
import { FakeRegion, startEdge } from './fake-region.ts';
import { connectBare, connectModerator, type BareSocket, type Moderator } from './moderators.ts';

const SECRET = 'a secret that is at least 32 characters long';
const DERBY = 'derby' as StreamId;
const ANN = { kind: 'viewer', id: 'ann' } as const;
const WAIT = { timeout: 60_000, interval: 5 };

const stops: (() => unknown)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0).toReversed()) await stop();
});

async function tokenOf(claims: object = {}, seconds: { readonly iat?: number; readonly exp?: number } = {}): Promise<string> {
  const now = Math.floor(Date.now() / 1000);
  return new SignJWT({ sub: 'ada', role: 'moderator', streams: ['derby'], iat: now - 60, exp: now + 60, ...seconds, ...claims })
    .setProtectedHeader({ alg: 'HS256' })
    .sign(new TextEncoder().encode(SECRET));
}

async function door({
  jwt = { secret: SECRET } as { secret: string } | null,
  origins = ['*'],
  limits = {} as Partial<ControlLimits>,
} = {}): Promise<{
  readonly plane: ControlPlane;
  readonly region: FakeRegion;
  readonly ws: string;
  readonly http: string;
  readonly by: string[];
  join(document: string, token?: string | null, doc?: Y.Doc): Moderator;
  bare(path: string, options?: Parameters<typeof connectBare>[1]): BareSocket;
}> {
  const region = new FakeRegion();
  const by: string[] = [];
  const plane = createControlPlane({ base: DEFAULT_BASE, clock: realRuntime.clock, log: region.log, publish() {}, record: (change) => void by.push(change.by) });
  const { edge, ws, http } = await startEdge(region, { config: { jwt, origins }, policyOf: plane.policyOf, control: { plane, changes: null, limits } });
  stops.push(() => edge.stop({ graceMs: 200 }));
  return {
    plane,
    region,
    ws,
    http,
    by,
    join(document, token = null, doc) {
      const moderator = connectModerator(ws, document, token, doc);
      stops.push(() => moderator.stop());
      return moderator;
    },
    bare(path, options) {
      const bare = connectBare(ws + path, options);
      stops.push(() => bare.webSocket.terminate());
      return bare;
    },
  };
}

describe('the moderators’ door', () => {
  it('[MOD-12] stock providers share a document through it, both ways, and what they write is in force', async () => {
    const { plane, join, bare, by } = await door();
    const ada = join('stream.derby', await tokenOf());
    const bob = join('stream.derby', await tokenOf({ sub: 'bob', role: 'admin' }));
    await Promise.all([ada.synced(), bob.synced()]);
    mute(ada.doc, ANN, { by: 'ada', at: 5 });
    await expect.poll(() => plane.policyOf(DERBY).mutedViewers.get('ann')?.by, WAIT).toBe('ada');
    await expect.poll(() => contentOf(bob.doc).content.mutes.get('viewer:ann')?.by, WAIT).toBe('ada');
    setEmoji(bob.doc, 'star', { glyph: '⭐' });
    await expect.poll(() => contentOf(ada.doc).content.palette.size, WAIT).toBe(1);
    // One that comes later, with edits made while it was offline.
    const offline = new Y.Doc();
    setEmoji(offline, 'moon', { glyph: '🌙' });
    const eve = join('stream.derby', await tokenOf({ sub: 'eve', streams: '*' }), offline);
    await eve.synced();
    await expect.poll(() => [...plane.policyOf(DERBY).palette.keys()], WAIT).toEqual(expect.arrayContaining(['star', 'moon']));
    expect(contentOf(eve.doc).content.mutes.size).toBe(1);
    await expect.poll(() => contentOf(ada.doc).content.palette.size, WAIT).toBe(2);
    expect(by).toEqual(['ada', 'bob', 'eve']);
    // Who wrote is not told its own words.
    const writer = bare('/control/stream.derby', { token: await tokenOf() });
    const sunny = new Y.Doc();
    setEmoji(sunny, 'sun', { glyph: '☀️' });
    writer.send(...updateMessage(Y.encodeStateAsUpdate(sunny)));
    writer.send(...questionMessage(Y.encodeStateVector(sunny)));
    await expect.poll(() => writer.messages.length, WAIT).toBe(2);
    expect(writer.messages.map((message) => message[1])).toEqual([0, 1]);
    // Another document is another room.
    const other = join('global', await tokenOf({ role: 'admin' }));
    await other.synced();
    expect(contentOf(other.doc).content.mutes.size).toBe(0);
  });

  it.each([
    ['no token', null, 'stream.derby', 4401],
    ['a viewer', { role: 'viewer' }, 'stream.derby', 4403],
    ['a moderator of another stream', { streams: ['gala'] }, 'stream.derby', 4403],
    ['a moderator of streams, at the global document', {}, 'global', 4403],
    ['an unsigned token', 'junk', 'stream.derby', 4401],
    ['a foreign name', {}, 'derby', 4400],
    ['a name of wildcards', { streams: '*' }, 'stream.%2A', 4400],
    ['a name that climbs', { streams: '*' }, 'stream.a.b', 4400],
  ])('[MOD-13] %s is let in nowhere: accepted, told why, closed, and nothing it sends is read', async (_who, claims, document, code) => {
    const { plane, bare } = await door();
    const token = claims === null || claims === 'junk' ? claims : await tokenOf(claims as object);
    const doc = new Y.Doc();
    mute(doc, ANN, { by: 'bot', at: 5 });
    const socket = bare(`/control/${document}`, { token: token as string | null });
    // Raw messages, sent before anybody said that they may be.
    socket.send(...questionMessage(Uint8Array.of(0)));
    socket.send(...updateMessage(Y.encodeStateAsUpdate(doc)));
    expect(await socket.closed).toMatchObject({ code, reason: expect.stringMatching(/\w{3}/) });
    expect(socket.messages).toEqual([]);
    expect([...plane.documents()]).toEqual([]);
  });

  it('[MOD-13] a stock provider that is refused says so and does not come again', async () => {
    const { join } = await door();
    const viewer = join('stream.derby', await tokenOf({ role: 'viewer' }));
    await expect.poll(() => viewer.closes, WAIT).toMatchObject([{ code: 4403 }]);
    expect(viewer.provider.shouldConnect).toBe(false);
    expect(viewer.provider.synced).toBe(false);
  });

  it('[MOD-13] the token comes as a subprotocol or a header, never in the URL, and is never said back', async () => {
    const { bare } = await door();
    const token = await tokenOf();
    const inHeader = bare('/control/stream.derby', { protocols: [CONTROL_SUBPROTOCOL], headers: { authorization: `Bearer ${token}` } });
    await expect.poll(() => inHeader.messages.length, WAIT).toBe(1);
    const asProtocol = bare('/control/stream.derby', { protocols: controlProtocols(token).toReversed() });
    await expect.poll(() => asProtocol.messages.length, WAIT).toBe(1);
    expect(asProtocol.webSocket.protocol).toBe(CONTROL_SUBPROTOCOL);
    expect(await bare(`/control/stream.derby?token=${token}`).closed).toMatchObject({ code: 4401 });
  });

  it.each([
    ['a text', [0x7f], 4400, true],
    ['nothing', [], 4400],
    ['an unknown type', [9, 1, 2], 4400],
    ['an unknown kind of sync', [0, 7, 0], 4400],
    ['auth, which only servers say', [2, 0, 0], 4400],
    ['a length beyond its end', [0, 2, 0xff, 0x7f], 4400],
    ['a message with a tail', [...updateMessage(Uint8Array.of(0, 0)), 1], 4400],
    ['junk as an update', [...updateMessage(Uint8Array.of(1, 2, 3, 255))], 4400],
    ['junk as an answer', [...answerMessage(Uint8Array.of(9, 9, 9))], 4400],
    ['junk as a state vector', [...questionMessage(Uint8Array.of(200, 1))], 4400],
    ['a type that is no map of ours', [...updateMessage(foreignUpdate())], 4400],
    ['an update of 66 KiB', [...updateMessage(new Uint8Array(66 * 1024))], 4413],
    ['a message of 80 KiB', Array.from({ length: 80 * 1024 }, () => 1), 1009],
  ])('[MOD-11] %s closes its sender, and the document stays as it was', async (_what, bytes, code, isText = false) => {
    const { plane, bare } = await door();
    const socket = bare('/control/stream.derby', { token: await tokenOf() });
    await expect.poll(() => socket.messages.length, WAIT).toBe(1);
    if (isText) socket.webSocket.send('hello');
    else socket.send(...bytes);
    expect((await socket.closed).code).toBe(code);
    expect([...plane.documents()]).toEqual([]);
  });

  it('[MOD-13] awareness, forged or huge, reaches nobody and is kept nowhere', async () => {
    const { join, bare } = await door();
    const ada = join('stream.derby', await tokenOf());
    await ada.synced();
    ada.provider.awareness.setLocalState({ name: 'ada' });
    const bot = bare('/control/stream.derby', { token: await tokenOf({ sub: 'bot' }) });
    await expect.poll(() => bot.messages.length, WAIT).toBe(1);
    const forged = new TextEncoder().encode(JSON.stringify({ name: 'x'.repeat(2_000) }));
    const { clientID } = ada.doc;
    bot.send(1, ...lengthPrefixed([1, ...varUint(clientID), 99, ...lengthPrefixed([...forged])]));
    bot.send(1, ...lengthPrefixed([255, 255, 255]));
    bot.send(3);
    // What it says next is answered, so what it said before was taken in.
    bot.send(...questionMessage(Uint8Array.of(0)));
    await expect.poll(() => bot.messages.length, WAIT).toBe(2);
    expect(ada.provider.awareness.getStates().get(clientID)).toEqual({ name: 'ada' });
    expect(ada.provider.awareness.getStates().size).toBe(1);
  });

  it('[MOD-14] a socket closes within 2 s of its token’s end, by time or by revocation; what was issued before is refused', async () => {
    const { join, plane, http } = await door();
    const soon = join('stream.derby', await tokenOf({}, { exp: Math.ceil(Date.now() / 1000) + 1 }));
    const [ada, bob] = [join('stream.derby', await tokenOf()), join('stream.derby', await tokenOf({ sub: 'bob' }))];
    const chief = join('global', await tokenOf({ sub: 'chief', role: 'admin' }));
    await Promise.all([soon, ada, bob, chief].map((moderator) => moderator.synced()));
    await expect.poll(() => soon.closes, WAIT).toMatchObject([{ code: 4401, reason: 'The token has expired; get a new one.' }]);
    const before = Date.now() - 30_000;
    revoke(chief.doc, 'ada', before, { by: 'chief', at: Date.now() });
    const since = livedTime();
    await expect.poll(() => ada.closes, WAIT).toMatchObject([{ code: 4401, reason: 'The token was revoked; get a new one.' }]);
    expect(since.ms()).toBeLessThan(2_000);
    since.stop();
    const again = join('stream.derby', await tokenOf());
    await expect.poll(() => again.closes, WAIT).toMatchObject([{ code: 4401 }]);
    const posted = await fetch(`${http}/reactions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${await tokenOf()}` },
      body: JSON.stringify({ stream_id: 'derby', viewer_id: 'ada', emoji_id: 'heart', count_since_last: 1, timestamp: 1 }),
    });
    expect(posted.status).toBe(401);
    const anew = join('stream.derby', await tokenOf({}, { iat: Math.floor(Date.now() / 1000) }));
    await anew.synced();
    expect(bob.provider.synced).toBe(true);
    expect(plane.revokedBefore('ada')).toBe(before);
  });

  it('[MOD-15] floods are cut off: of messages, and of questions whose answers are large', async () => {
    const { plane, bare } = await door();
    const large = new Y.Doc();
    for (let index = 0; index < 300; index++) mute(large, { kind: 'viewer', id: `v${index}` }, { by: 'ada', at: index, reason: 'x'.repeat(60) });
    expect(plane.apply('stream.derby', Y.encodeStateAsUpdate(large), 'ada').kind).toBe('applied');
    for (const message of [questionMessage(Uint8Array.of(0)), Uint8Array.of(3)]) {
      const socket = bare('/control/stream.derby', { token: await tokenOf() });
      for (let sent = 0; sent < 400; sent++) socket.send(...message);
      expect((await socket.closed).code).toBe(4529);
      expect(socket.messages.length).toBeLessThan(200);
    }
  });

  it('[MOD-15] moderators beyond the region’s limit are told to try later, and those who knock beyond a bound are not heard', async () => {
    const { bare } = await door({ limits: { socketsMax: 1 } });
    const first = bare('/control/global', { token: await tokenOf({ role: 'admin' }) });
    await expect.poll(() => first.messages.length, WAIT).toBe(1);
    expect(await bare('/control/stream.derby', { token: await tokenOf() }).closed).toMatchObject({ code: 4503 });
    first.webSocket.close();
    await first.closed;
    const third = bare('/control/stream.derby', { token: await tokenOf() });
    await expect.poll(() => third.messages.length, WAIT).toBe(1);
    const crowded = await door({ limits: { arrivalsMax: 0 } });
    expect(await crowded.bare('/control/stream.derby', { token: await tokenOf() }).closed).toMatchObject({ code: 1006 });
  });

  it('[MOD-16] in a region without a key anybody may moderate but pages of elsewhere, and the log says so', async () => {
    const { plane, region, bare, join, by, http } = await door({ jwt: null });
    expect(region.logged.filter(({ message }) => message.startsWith('NO TOKEN KEY'))).toHaveLength(2);
    const anybody = join('stream.derby');
    await anybody.synced();
    mute(anybody.doc, ANN, { by: 'ada', at: 5 });
    await expect.poll(() => plane.policyOf(DERBY).mutedViewers.size, WAIT).toBe(1);
    expect(by).toEqual(['anybody']);
    expect(await bare('/control/global', { headers: { origin: 'https://elsewhere.example' } }).closed).toMatchObject({ code: 4403 });
    const own = bare('/control/global', { headers: { origin: http } });
    await expect.poll(() => own.messages.length, WAIT).toBe(1);
  });

  it('[MOD-15] a stop asks moderators to come back later', async () => {
    const region = new FakeRegion();
    const plane = createControlPlane({ base: DEFAULT_BASE, clock: realRuntime.clock, log: region.log, publish() {} });
    const { edge, ws } = await startEdge(region, { policyOf: plane.policyOf, control: { plane, changes: null } });
    const ada = connectModerator(ws, 'stream.derby');
    stops.push(() => ada.stop());
    await ada.synced();
    expect(edge.controlStats).toMatchObject({ sockets: 1 });
    await edge.stop({ graceMs: 1_000 });
    expect(ada.closes).toMatchObject([{ code: 1012 }]);
    expect(edge.controlStats).toMatchObject({ sockets: 0 });
  });
});

function foreignUpdate(): Uint8Array {
  const doc = new Y.Doc();
  doc.getText('notes').insert(0, 'x');
  return Y.encodeStateAsUpdate(doc);
}

function varUint(value: number): number[] {
  return value < 128 ? [value] : [(value % 128) + 128, ...varUint(Math.floor(value / 128))];
}

function lengthPrefixed(bytes: readonly number[]): number[] {
  return [...varUint(bytes.length), ...bytes];
}
