import { encode } from '@msgpack/msgpack';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { WebSocket } from 'ws';
import type { Edge } from '../../src/edge/server.ts';
import { decodeServerJson, encodeClientJson } from '../../src/protocol/json-codec.ts';
import { SUBPROTOCOL_JSON, SUBPROTOCOL_MSGPACK, type ClientMessage, type ServerMessage } from '../../src/protocol/messages.ts';
import { decodeServerMsgpack, encodeClientMsgpack } from '../../src/protocol/msgpack-codec.ts';
import { eventually } from './eventually.ts';
import { FakeRegion, startEdge } from './fake-region.ts';

const AT = 1_795_342_812_345;
const hello: ClientMessage = { type: 'hello', session_id: 's1', viewer_id: 'ann' };
const batch = (seq: number, count = 1): ClientMessage => ({
  type: 'batch',
  seq,
  reactions: [{ emoji_id: 'heart', count }],
  timestamp: AT,
});

const region = new FakeRegion();
let edge: Edge;
let ws: string;
const open: WebSocket[] = [];

beforeAll(async () => {
  ({ edge, ws } = await startEdge(region, {
    config: { origins: ['https://player.test'], viewersMax: 40 },
    limits: { helloMs: 1_000, answerMsMax: 1_500, messageBurstMax: 60, excessMessagesMax: 20 },
  }));
});
afterAll(() => edge.stop({ graceMs: 500 }));
beforeEach(() => {
  region.answer = null;
  region.holds = false;
  region.readFails = false;
  region.frame = {};
});
afterEach(async () => {
  for (const socket of open.splice(0)) socket.terminate();
  await eventually(() => expect(edge.stats['sockets']).toBe(0));
});

class Player {
  readonly messages: ServerMessage[] = [];
  closed: { readonly code: number; readonly reason: string } | null = null;
  readonly socket: WebSocket;
  readonly #isJson: boolean;

  constructor(url: string, protocols: string[] = [SUBPROTOCOL_JSON], options: object = {}) {
    this.#isJson = protocols[0] !== SUBPROTOCOL_MSGPACK;
    this.socket = new WebSocket(url, protocols, options);
    open.push(this.socket);
    this.socket.on('message', (data: Buffer) => {
      this.messages.push(this.#isJson ? decodeServerJson(data.toString()) : decodeServerMsgpack(data));
    });
    this.socket.on('error', () => {});
    this.socket.on('close', (code, reason) => (this.closed = { code, reason: reason.toString() }));
  }

  send(...messages: ClientMessage[]): void {
    for (const message of messages) {
      this.socket.send(this.#isJson ? encodeClientJson(message) : encodeClientMsgpack(message));
    }
  }

  of<Type extends ServerMessage['type']>(type: Type): Extract<ServerMessage, { type: Type }>[] {
    return this.messages.filter((message): message is Extract<ServerMessage, { type: Type }> => message.type === type);
  }

  async welcomed(): Promise<this> {
    await eventually(() => expect(this.of('welcome')).toHaveLength(1));
    return this;
  }

  async closes(code: number, reason: RegExp): Promise<void> {
    await eventually(() => expect(this.closed?.code).toBe(code));
    expect(this.closed!.reason).toMatch(reason);
  }
}

const player = (...more: [protocols?: string[], options?: object]): Player => new Player(`${ws}/streams/derby/reactions`, ...more);

describe.each([SUBPROTOCOL_JSON, SUBPROTOCOL_MSGPACK])('over %s', (subprotocol) => {
  it('[EDGE-30] welcomes, acknowledges after the commit, sends frames', async () => {
    region.holds = true;
    const ann = await player([subprotocol]).welcomed();
    expect(ann.socket.protocol).toBe(subprotocol);
    expect(ann.messages[0]).toMatchObject({ type: 'welcome', region: 'us', batch_ms: 250, palette: { heart: '❤️' } });
    ann.send({ ...hello, session_id: subprotocol.replaceAll('.', '_') } as ClientMessage, batch(1, 3), batch(2, 50));
    await eventually(() => expect(region.batches.slice(-2).map((each) => each.sequence)).toEqual([1, 2]));
    expect(ann.of('ack')).toEqual([]);
    region.release();
    await eventually(() => expect(ann.of('ack')).toHaveLength(2));
    expect(ann.of('ack')).toEqual([
      { type: 'ack', seq: 1, accepted: 3, clamped: 0, duplicate: false },
      { type: 'ack', seq: 2, accepted: 40, clamped: 10, duplicate: false },
    ]);
    region.holds = false;
    ann.send(batch(1, 3));
    await eventually(() => expect(ann.of('ack')).toHaveLength(3));
    expect(ann.of('ack')[2]).toMatchObject({ seq: 1, accepted: 3, duplicate: true });
    region.publish('derby');
    await eventually(() => expect(ann.of('frame')).toHaveLength(1));
    expect(ann.of('frame')[0]).toMatchObject({ region: 'us', at: 1_795_342_812_346, rates: { heart: 1.23 }, hints: { heart: 2 }, staleness: { eu: 13, ap: null } });
    expect(ann.of('frame')[0]!.totals['heart']).toBeGreaterThanOrEqual(43);
  });

  it('[EDGE-17] hands on where a batch may have been received before', async () => {
    const ann = player([subprotocol]);
    await ann.welcomed();
    ann.send(hello, { ...batch(1), via: ['eu', 'ap'] } as ClientMessage);
    await eventually(() => expect(region.batches.at(-1)).toMatchObject({ sequence: 1, via: ['eu', 'ap'] }));
  });

  it('[EDGE-31] a refused batch is answered with an error and the socket goes on', async () => {
    const ann = player([subprotocol]);
    await ann.welcomed();
    region.answer = (each) => (each.sequence === 1 ? { kind: 'refused', reason: 'unknown-emoji' } : { kind: 'refused', reason: 'overloaded', retryAfterMs: 250.5 });
    ann.send(hello, batch(1), batch(2));
    await eventually(() => expect(ann.of('error')).toHaveLength(2));
    expect(ann.of('error')).toMatchObject([
      { seq: 1, code: 'unknown-emoji', temporary: false },
      { seq: 2, code: 'overloaded', temporary: true, retry_after_ms: 251 },
    ]);
    region.answer = () => ({ kind: 'refused', reason: 'stream-ended' });
    ann.send(batch(3));
    await eventually(() => expect(ann.of('error')[2]).toMatchObject({ seq: 3, code: 'stream-ended', temporary: false }));
    region.answer = null;
    ann.send(batch(4));
    await eventually(() => expect(ann.of('ack')).toMatchObject([{ seq: 4 }]));
  });

  it('[EDGE-32] what is malformed is answered, then closed with 4400', async () => {
    const wrong: (string | Uint8Array)[] =
      subprotocol === SUBPROTOCOL_JSON
        ? ['', '{', '[]', '{"type":"batch"}', encodeClientMsgpack(hello)]
        : [Uint8Array.of(), encode([1]), Uint8Array.of(0xdd, 255, 255, 255, 255), encodeClientJson(hello)];
    for (const input of wrong) {
      const ann = await player([subprotocol]).welcomed();
      ann.socket.send(input);
      await ann.closes(4400, /./);
      expect(ann.of('error')).toMatchObject([{ seq: 0, code: 'malformed', temporary: false }]);
    }
  });
});

describe('hello', () => {
  it('[EDGE-33] a batch before hello, or a hello of another viewer, is malformed', async () => {
    const early = await player().welcomed();
    early.send(batch(1));
    await early.closes(4400, /hello first/);
    const twice = await player().welcomed();
    twice.send(hello, { ...hello, viewer_id: 'somebody-else' } as ClientMessage);
    await twice.closes(4400, /already/);
  });

  it('[EDGE-46] a second hello of the same viewer begins another session, and answers of the first still come', async () => {
    const ann = await player().welcomed();
    region.holds = true;
    ann.send({ ...hello, session_id: 'first' } as ClientMessage, batch(7));
    await eventually(() => expect(region.batches.at(-1)).toMatchObject({ session: 'first', sequence: 7 }));
    ann.send({ ...hello, session_id: 'second' } as ClientMessage, batch(8));
    await eventually(() => expect(region.batches.at(-1)).toMatchObject({ session: 'second', sequence: 8 }));
    region.release();
    await eventually(() => expect(ann.of('ack').map(({ seq }) => seq)).toEqual([7, 8]));
    region.holds = false;
  });

  it('[EDGE-46] a number of the first that is in flight is malformed in the second, whose answer would be taken for the other’s', async () => {
    const ann = await player().welcomed();
    region.holds = true;
    ann.send({ ...hello, session_id: 'first-7' } as ClientMessage, batch(7, 3));
    await eventually(() => expect(region.batches.at(-1)).toMatchObject({ session: 'first-7' }));
    ann.send({ ...hello, session_id: 'second-7' } as ClientMessage, batch(7, 2));
    await ann.closes(4400, /numbers go on/);
    region.release();
    expect(ann.of('ack')).toEqual([]);
    expect(region.batches.filter(({ session }) => session === 'second-7')).toEqual([]);
  });

  it('[EDGE-46] what comes too late of the first is no answer to the second', async () => {
    const ann = await player().welcomed();
    region.holds = true;
    ann.send({ ...hello, session_id: 'given-up' } as ClientMessage, batch(7, 3));
    await eventually(() => expect(ann.of('error')).toMatchObject([{ seq: 7, code: 'unavailable' }]));
    ann.send({ ...hello, session_id: 'next' } as ClientMessage, batch(7, 2));
    await eventually(() => expect(region.batches.at(-1)).toMatchObject({ session: 'next' }));
    region.release();
    await eventually(() => expect(ann.of('ack')).toMatchObject([{ seq: 7, accepted: 2 }]));
    expect(edge.stats['inFlight']).toBe(0);
    region.holds = false;
    ann.send(batch(8));
    await eventually(() => expect(ann.of('ack').map(({ seq }) => seq)).toEqual([7, 8]));
  });

  it('[EDGE-33] a socket that says nothing watches, and may no longer send', async () => {
    const watcher = await player([]).welcomed();
    const late = await player([]).welcomed();
    expect(watcher.socket.protocol).toBe('');
    await vi.waitFor(
      () => {
        region.publish('derby');
        expect(watcher.of('frame').length).toBeGreaterThan(10);
      },
      { timeout: 60_000, interval: 400 },
    );
    late.send(hello);
    await late.closes(4508, /too late/);
    watcher.send(batch(1));
    await watcher.closes(4508, /only watch/);
  });
});

describe('bounds', () => {
  it('[EDGE-34] at most 32 batches are in flight, and one sent again in flight is answered once', async () => {
    region.holds = true;
    const ann = await player().welcomed();
    ann.send({ ...hello, session_id: 'inflight' } as ClientMessage, batch(1), batch(1));
    for (let seq = 2; seq <= 33; seq++) ann.send(batch(seq));
    await eventually(() => expect(ann.of('error')).toMatchObject([{ seq: 33, code: 'rate-limited', temporary: true }]));
    expect(edge.stats['inFlight']).toBe(32);
    region.release();
    await eventually(() => expect(ann.of('ack')).toHaveLength(32));
    expect(edge.stats['inFlight']).toBe(0);
  });

  it('[EDGE-34] an answer that never comes is given up, and a late one still told', async () => {
    region.holds = true;
    const ann = await player().welcomed();
    ann.send({ ...hello, session_id: 'lost' } as ClientMessage, batch(1));
    await eventually(() => expect(ann.of('error')).toMatchObject([{ seq: 1, code: 'unavailable', temporary: true }]));
    expect(edge.stats['inFlight']).toBe(0);
    region.release();
    await eventually(() => expect(ann.of('ack')).toMatchObject([{ seq: 1 }]));
  });

  it('[EDGE-35] too many messages are refused, then the socket is closed; pings count too, and pongs that nobody asked for', async () => {
    const ann = await player().welcomed();
    ann.send({ ...hello, session_id: 'flood' } as ClientMessage);
    for (let seq = 1; seq <= 200; seq++) ann.send(batch(seq));
    await ann.closes(4529, /messages a second/);
    expect(ann.of('error').filter((error) => error.code === 'rate-limited' && error.seq > 0).length).toBeGreaterThan(0);
    const pinger = await player().welcomed();
    for (let n = 0; n < 200; n++) pinger.socket.ping();
    await eventually(() => expect(pinger.closed).not.toBeNull());
    const ponger = await player().welcomed();
    for (let n = 0; n < 200; n++) ponger.socket.pong();
    await ponger.closes(4529, /messages a second/);
  });

  it('[EDGE-36] an oversized message is refused with 1009', async () => {
    const ann = await player().welcomed();
    ann.socket.send('x'.repeat(4097));
    await ann.closes(1009, /^/);
  });

  it('[EDGE-36] viewers beyond the limit are refused with 4503', async () => {
    const crowd = Array.from({ length: 40 }, () => player());
    await Promise.all(crowd.map((each) => each.welcomed()));
    const late = player();
    await late.closes(4503, /full/);
    expect(edge.stats['sockets']).toBe(40);
  });
});

describe('upgrades', () => {
  it('[EDGE-37] are accepted and then closed with the reason', async () => {
    await player([SUBPROTOCOL_JSON], { origin: 'https://evil.test' }).closes(4403, /origin/);
    await player([SUBPROTOCOL_JSON], { origin: 'https://player.test' }).welcomed();
    await player(['chat']).closes(4400, /Offer ovation.v1.json/);
    await new Player(`${ws}/elsewhere`).closes(4404, /streams/);
    for (const id of ['a.b', '__proto__', 'x'.repeat(65), '%00', '']) {
      await new Player(`${ws}/streams/${id}/reactions`).closes(4400, /stream id/);
    }
    const preferring = await player([SUBPROTOCOL_MSGPACK, SUBPROTOCOL_JSON]).welcomed();
    expect(preferring.socket.protocol).toBe(SUBPROTOCOL_MSGPACK);
  });

  it('[EDGE-37] of a region that cannot read its counts are closed with 4503', async () => {
    region.readFails = true;
    await player().closes(4503, /cannot read/);
  });
});

it('[EDGE-40] agrees to no compression, whatever is offered', async () => {
  const ann = await player([SUBPROTOCOL_JSON], { perMessageDeflate: true }).welcomed();
  expect(ann.socket.extensions).toBe('');
});

it('[EDGE-38] tells the feed who watches, and no longer when nobody does', async () => {
  const url = `${ws}/streams/watched/reactions`;
  const players = await Promise.all([new Player(url), new Player(url)].map((each) => each.welcomed()));
  await eventually(() => expect(region.watched.get('watched')).toBe(2));
  for (const each of players) each.socket.close();
  await eventually(() => expect(region.watched.get('watched')).toBe(0));
});

it('[EDGE-39] tells the pace when the level changes', async () => {
  const ann = await player().welcomed();
  region.frame = { level: 'hearts' };
  region.publish('derby');
  await eventually(() => expect(ann.of('frame')).toHaveLength(1));
  region.publish('derby');
  await eventually(() => expect(ann.of('frame')).toHaveLength(2));
  expect(ann.messages.slice(1).map((message) => message.type)).toEqual(['pace', 'frame', 'frame']);
  expect(ann.of('pace')).toEqual([{ type: 'pace', batch_ms: 1000, level: 'hearts' }]);
});
