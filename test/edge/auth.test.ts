import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { SignJWT, UnsecuredJWT, exportJWK, generateKeyPair, type JWTPayload } from 'jose';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import type { Edge } from '../../src/edge/server.ts';
import { eventually } from './eventually.ts';
import { FakeRegion, startEdge } from './fake-region.ts';

const SECRET = 'a secret of at least thirty-two characters';
const bytes = new TextEncoder().encode(SECRET);
const ann: JWTPayload = { sub: 'ann', streams: ['derby'], role: 'viewer' };
const sign = (claims: JWTPayload, { key = bytes, expires = '5m' }: { key?: Uint8Array; expires?: string } = {}): Promise<string> =>
  new SignJWT(claims).setProtectedHeader({ alg: 'HS256' }).setExpirationTime(expires).sign(key);
const payload = { stream_id: 'derby', viewer_id: 'ann', emoji_id: 'heart', count_since_last: 1, timestamp: 1 };

const region = new FakeRegion();
let edge: Edge;
let http: string;
let ws: string;

async function post(base: string, token?: string, body: object = payload): Promise<[number, string]> {
  const response = await fetch(`${base}/reactions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...(token === undefined ? {} : { authorization: `Bearer ${token}` }) },
    body: JSON.stringify(body),
  });
  const { type = '' } = (await response.json()) as { type?: string };
  return [response.status, type.replace('urn:ovation:problem:', '')];
}

describe('with a secret', () => {
  beforeAll(async () => {
    ({ edge, http, ws } = await startEdge(region, { config: { jwt: { secret: SECRET } }, history: () => Promise.resolve([]) }));
  });
  afterAll(() => edge.stop({ graceMs: 500 }));

  it('[EDGE-50] a token opens its viewer and its streams, nothing else', async () => {
    const token = await sign(ann);
    expect(await post(http, token)).toEqual([202, '']);
    expect(await post(http, token, { ...payload, viewer_id: 'bob' })).toEqual([403, 'forbidden']);
    expect(await post(http, token, { ...payload, stream_id: 'other' })).toEqual([403, 'forbidden']);
    expect(await post(http, await sign({ sub: 'ann' }))).toEqual([403, 'forbidden']);
    expect(await post(http, await sign({ sub: 'ann', streams: '*' }))).toEqual([202, '']);
  });

  it('[EDGE-51] tokens that are missing, expired, foreign, unsigned or odd are refused with 401', async () => {
    const odd: Record<string, string | undefined> = {
      missing: undefined,
      junk: 'x.y.z',
      expired: await sign(ann, { expires: '-1m' }),
      foreign: await sign(ann, { key: new TextEncoder().encode('another secret, also thirty-two characters') }),
      unsigned: new UnsecuredJWT(ann).setExpirationTime('5m').encode(),
      'another algorithm': await new SignJWT(ann).setProtectedHeader({ alg: 'HS512' }).setExpirationTime('5m').sign(bytes),
      'without end': await new SignJWT(ann).setProtectedHeader({ alg: 'HS256' }).sign(bytes),
      'without subject': await sign({ streams: '*' }),
      'an odd role': await sign({ ...ann, role: 'king' }),
      'odd streams': await sign({ ...ann, streams: 'derby' }),
    };
    for (const [name, token] of Object.entries(odd)) {
      expect([name, ...(await post(http, token))]).toEqual([name, 401, 'unauthenticated']);
    }
    const before = region.batches.length;
    await post(http, odd['unsigned']);
    expect(region.batches).toHaveLength(before);
  });

  it('[EDGE-52] books and history need a moderator of the stream; totals need nobody', async () => {
    const get = async (path: string, claims?: JWTPayload): Promise<number> => {
      const headers = claims === undefined ? {} : { authorization: `Bearer ${await sign(claims)}` };
      return (await fetch(`${http}/streams/derby/${path}`, { headers })).status;
    };
    for (const path of ['audit', 'reactions/history']) {
      expect(await get(path)).toBe(401);
      expect(await get(path, ann)).toBe(403);
      expect(await get(path, { ...ann, role: 'moderator', streams: ['other'] })).toBe(403);
      expect(await get(path, { ...ann, role: 'moderator' })).toBe(200);
      expect(await get(path, { ...ann, role: 'admin', streams: '*' })).toBe(200);
    }
    expect(await get('reactions')).toBe(200);
  });

  describe('over WebSocket', () => {
    const open: WebSocket[] = [];
    afterEach(() => {
      for (const socket of open.splice(0)) socket.terminate();
    });

    async function say(hello: object, headers: Record<string, string> = {}): Promise<{ seqs: number[]; code: number | null }> {
      const socket = new WebSocket(`${ws}/streams/derby/reactions`, 'ovation.v1.json', { headers });
      open.push(socket);
      const outcome = { seqs: [] as number[], code: null as number | null };
      socket.on('message', (data: Buffer) => {
        const message = JSON.parse(data.toString()) as { type: string; seq: number };
        if (message.type === 'ack') outcome.seqs.push(message.seq);
      });
      socket.on('close', (code) => (outcome.code = code));
      await new Promise((resolve) => socket.once('open', resolve));
      socket.send(JSON.stringify({ type: 'hello', session_id: `s${open.length}-${Math.random()}`.replace('.', ''), viewer_id: 'ann', ...hello }));
      // Sent before anybody can have verified the token.
      for (const seq of [1, 2, 3]) {
        socket.send(JSON.stringify({ type: 'batch', seq, reactions: [{ emoji_id: 'heart', count: 1 }], timestamp: 1 }));
      }
      await eventually(() => expect(outcome.code !== null || outcome.seqs.length === 3).toBe(true));
      return outcome;
    }

    it('[EDGE-53] batches wait for the verdict on the token, in hello or in the header', async () => {
      expect(await say({ token: await sign(ann) })).toEqual({ seqs: [1, 2, 3], code: null });
      expect(await say({}, { authorization: `Bearer ${await sign(ann)}` })).toEqual({ seqs: [1, 2, 3], code: null });
    });

    it('[EDGE-53] a refused token closes with 4401 or 4403, and nothing was counted', async () => {
      const before = region.batches.length;
      expect(await say({})).toEqual({ seqs: [], code: 4401 });
      expect(await say({ token: await sign(ann, { expires: '-1m' }) })).toEqual({ seqs: [], code: 4401 });
      expect(await say({ token: new UnsecuredJWT(ann).setExpirationTime('5m').encode() })).toEqual({ seqs: [], code: 4401 });
      expect(await say({ token: await sign({ ...ann, sub: 'bob' }) })).toEqual({ seqs: [], code: 4403 });
      expect(await say({ token: await sign({ ...ann, streams: [] }) })).toEqual({ seqs: [], code: 4403 });
      expect(region.batches).toHaveLength(before);
    });
  });
});

describe('with a JWKS', () => {
  let keys: Server;
  let jwksUrl: string;
  let isDown = false;
  let pair: Awaited<ReturnType<typeof generateKeyPair>>;

  beforeAll(async () => {
    pair = await generateKeyPair('ES256', { extractable: true });
    const jwk = { ...(await exportJWK(pair.publicKey)), kid: 'k1', alg: 'ES256' };
    keys = createServer((_request, response) => {
      response.statusCode = isDown ? 500 : 200;
      response.end(JSON.stringify({ keys: [jwk] }));
    });
    await new Promise<void>((resolve) => keys.listen(0, '127.0.0.1', resolve));
    jwksUrl = `http://127.0.0.1:${(keys.address() as AddressInfo).port}/`;
    ({ edge, http } = await startEdge(region, { config: { jwt: { jwksUrl } } }));
  });
  afterAll(async () => {
    await edge.stop({ graceMs: 500 });
    keys.closeAllConnections();
    keys.close();
  });

  it('[EDGE-54] keys that cannot be fetched are 503; then tokens of the key pass, and no secret made of it', async () => {
    const token = await new SignJWT(ann).setProtectedHeader({ alg: 'ES256', kid: 'k1' }).setExpirationTime('5m').sign(pair.privateKey);
    isDown = true;
    expect(await post(http, token)).toEqual([503, 'unavailable']);
    isDown = false;
    expect(await post(http, token)).toEqual([202, '']);
    const confused = new TextEncoder().encode(JSON.stringify(await exportJWK(pair.publicKey)));
    expect(await post(http, await sign(ann, { key: confused }))).toEqual([401, 'unauthenticated']);
  });
});

it('[EDGE-55] without a key the region is open and says so once', async () => {
  const openRegion = new FakeRegion();
  const open = await startEdge(openRegion);
  expect(await post(open.http)).toEqual([202, '']);
  expect(openRegion.logged.filter(({ level, message }) => level === 'warn' && message.includes('NO TOKEN KEY'))).toHaveLength(1);
  await open.edge.stop({ graceMs: 100 });
});
