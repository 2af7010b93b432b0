import { SignJWT } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { networkOf } from '../../src/edge/network.ts';
import type { Edge } from '../../src/edge/server.ts';
import { encodeClientJson } from '../../src/protocol/json-codec.ts';
import { encodeClientMsgpack } from '../../src/protocol/msgpack-codec.ts';
import { eventually } from './eventually.ts';
import { FakeRegion, startEdge } from './fake-region.ts';

const SECRET = 'a secret of at least thirty-two characters';
const sign = (claims: object): Promise<string> =>
  new SignJWT({ sub: 'ann', streams: '*', ...claims }).setProtectedHeader({ alg: 'HS256' }).setExpirationTime('5m').sign(new TextEncoder().encode(SECRET));

describe('network', () => {
  it('[SPAM-10] is what one household has', () => {
    const known: Record<string, string | null> = {
      '203.0.113.77': '203.0.113.0/24',
      '::ffff:203.0.113.77': '203.0.113.0/24',
      '2001:db8:1:2::3': '2001:db8:1::/48',
      '2001:db8::1': '2001:db8:0::/48',
      '2001:DB8:0001:ffff:ffff:ffff:ffff:ffff': '2001:db8:1::/48',
    };
    for (const [address, network] of Object.entries(known)) expect(networkOf(address, undefined, 0), address).toBe(network);
  });

  it('[SPAM-10] is unknown behind addresses that many share, and in junk', () => {
    const unknown = ['127.0.0.1', '::1', '10.1.2.3', '172.16.0.1', '172.31.9.9', '192.168.1.1', '100.64.0.1', '169.254.1.1', '0.0.0.0', '224.0.0.1', '255.255.255.255', 'fe80::1%eth0', 'fd00::1', '::', '', 'junk', '1.2.3', '::ffff:10.0.0.1'];
    for (const address of unknown) expect(networkOf(address, undefined, 0), address).toBeNull();
    expect(networkOf(undefined, undefined, 0)).toBeNull();
    expect([networkOf('172.15.0.1', undefined, 0), networkOf('100.128.0.1', undefined, 0)]).not.toContain(null);
  });

  it('[SPAM-10] believes as many hops as there are proxies, and nothing that a client wrote', () => {
    const forged = '198.51.100.1, 203.0.113.77, 192.0.2.9';
    expect(networkOf('198.18.0.1', forged, 0)).toBe('198.18.0.0/24');
    expect(networkOf('10.0.0.1', forged, 1)).toBe('192.0.2.0/24');
    expect(networkOf('10.0.0.1', forged, 2)).toBe('203.0.113.0/24');
    expect(networkOf('10.0.0.1', ['198.51.100.1', '203.0.113.77'], 1)).toBe('203.0.113.0/24');
    expect(networkOf('203.0.113.77', forged, 4), 'fewer hops than there must be').toBeNull();
    expect(networkOf('203.0.113.77', undefined, 1)).toBeNull();
  });
});

describe('an edge behind a proxy', () => {
  const region = new FakeRegion();
  let edge: Edge;
  let http: string;
  let ws: string;
  beforeAll(async () => {
    ({ edge, http, ws } = await startEdge(region, { config: { jwt: { secret: SECRET }, proxies: 1 } }));
  });
  afterAll(() => edge.stop({ graceMs: 500 }));
  const headersOf = async (claims: object): Promise<Record<string, string>> => ({ authorization: `Bearer ${await sign(claims)}`, 'x-forwarded-for': '1.1.1.1, 203.0.113.7' });

  it('[SPAM-10] tells device and network of what is posted; the token knows best', async () => {
    const post = async (claims: object, device: object): Promise<number> => {
      const body = { stream_id: 'derby', viewer_id: 'ann', emoji_id: 'heart', count_since_last: 1, timestamp: 1, ...device };
      const response = await fetch(`${http}/reactions`, { method: 'POST', headers: { 'content-type': 'application/json', ...(await headersOf(claims)) }, body: JSON.stringify(body) });
      return response.status;
    };
    expect(await post({}, { device_id: 'phone-1' })).toBe(202);
    expect(region.batches.at(-1)).toMatchObject({ device: 'phone-1', address: '203.0.113.0/24' });
    expect(await post({ device: 'tablet' }, { device_id: 'phone-1' })).toBe(202);
    expect(region.batches.at(-1)).toMatchObject({ device: 'tablet' });
    expect(await post({}, {})).toBe(202);
    expect(region.batches.at(-1)).toMatchObject({ device: null });
    expect(await post({}, { device_id: 'a phone' })).toBe(422);
    expect(await post({ device: 7 }, {})).toBe(401);
  });

  it.each(['ovation.v1.json', 'ovation.v1.msgpack'])('[SPAM-10] tells device and network of what comes over %s', async (subprotocol) => {
    const send = async (claims: object, device: object): Promise<void> => {
      const socket = new WebSocket(`${ws}/streams/derby/reactions`, [subprotocol], { headers: await headersOf(claims) });
      const encode = subprotocol === 'ovation.v1.json' ? encodeClientJson : encodeClientMsgpack;
      const seen = region.batches.length;
      await new Promise((resolve) => socket.once('message', resolve));
      socket.send(encode({ type: 'hello', session_id: `s${seen}${subprotocol.length}`, viewer_id: 'ann', ...device }));
      socket.send(encode({ type: 'batch', seq: 1, timestamp: 1, reactions: [{ emoji_id: 'heart', count: 1 }] }));
      await eventually(() => expect(region.batches.length).toBe(seen + 1));
      socket.terminate();
    };
    await send({}, { device_id: 'phone-1' });
    expect(region.batches.at(-1)).toMatchObject({ device: 'phone-1', address: '203.0.113.0/24' });
    await send({ device: 'tablet' }, { device_id: 'phone-1' });
    expect(region.batches.at(-1)).toMatchObject({ device: 'tablet' });
    await send({}, {});
    expect(region.batches.at(-1)).toMatchObject({ device: null });
  });
});
