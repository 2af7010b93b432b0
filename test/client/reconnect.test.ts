import { describe, expect, it } from 'vitest';
import { NOT_OVATION, Reconnect, type Loss } from '../../src/client/reconnect.ts';
import { seededRandom } from '../support/simulated-runtime.ts';

const half = { next: () => 0.5 };
const loss = (code: number, changes: Partial<Loss> = {}): Loss => ({
  code,
  reason: 'why',
  wasWelcomed: false,
  wasStable: false,
  wasSilent: false,
  retryAfterMs: null,
  ...changes,
});

describe('[SDK-9] waits', () => {
  it('grow from half a second to 20 s, are spread over all of it, and begin anew after a connection of use', () => {
    const reconnect = new Reconnect(['a'], 'websocket', false);
    const waits = Array.from({ length: 8 }, () => reconnect.lost(loss(1006), half).delayMs!);
    expect(waits).toEqual([250, 500, 1_000, 2_000, 4_000, 8_000, 10_000, 10_000]);
    expect(reconnect.lost(loss(1006, { wasWelcomed: true, wasStable: true }), half).delayMs!).toBe(250);
    // A welcome alone is no success, or a region that is full would be asked twice a second for ever.
    const full = Array.from({ length: 8 }, () => reconnect.lost(loss(4503, { wasWelcomed: true }), half).delayMs!);
    expect(full.at(-1)).toBe(10_000);
  });

  it('a crowd of 500 that lost its region together comes back spread out', () => {
    const random = { next: seededRandom(7) };
    const arrivals = new Map<number, number>();
    for (let viewer = 0; viewer < 500; viewer++) {
      const reconnect = new Reconnect(['a'], 'websocket', false);
      let at = 0;
      for (let round = 0; round < 5; round++) at += reconnect.lost(loss(1006), random).delayMs!;
      const tenth = Math.floor(at / 100);
      arrivals.set(tenth, (arrivals.get(tenth) ?? 0) + 1);
    }
    expect(Math.max(...arrivals.values())).toBeLessThan(20);
  });
});

describe('[SDK-9] where to', () => {
  const endpoints = (reconnect: Reconnect, losses: readonly Loss[]) => losses.map((one) => {
      reconnect.lost(one, half);
      return reconnect.way.endpoint;
    });

  it('the same endpoint once more when it closed in order, the next when it cannot be reached, is silent or full', () => {
    const reconnect = new Reconnect(['a', 'b', 'c'], 'websocket', false);
    const welcomed = { wasWelcomed: true, wasStable: true };
    expect(endpoints(reconnect, [loss(1012, welcomed)])).toEqual(['a']);
    expect(endpoints(reconnect, [loss(1006), loss(1006), loss(1006)])).toEqual(['b', 'c', 'a']);
    expect(endpoints(reconnect, [loss(1006, { ...welcomed, wasSilent: true }), loss(4503, welcomed)])).toEqual(['b', 'c']);
  });

  it('the app is told once, when nobody can be reached', () => {
    const reconnect = new Reconnect(['a', 'b'], 'websocket', false);
    const errors = Array.from({ length: 6 }, () => reconnect.lost(loss(1006), half).error);
    expect(errors.map((error) => error?.code ?? null)).toEqual([null, 'unreachable', null, null, null, null]);
    expect(errors[1]).toMatchObject({ temporary: true });
  });

  it('a goaway is waited for as long as it asks, at the same endpoint', () => {
    const reconnect = new Reconnect(['a', 'b'], 'websocket', false);
    const decision = reconnect.lost(loss(1012, { wasWelcomed: true, wasStable: true, retryAfterMs: 2_300 }), half);
    expect(decision).toEqual({ delayMs: 2_300, error: null });
    expect(reconnect.way).toEqual({ endpoint: 'a', overHttp: false });
    // Also right after a welcome; but one that does nothing else is waited for longer and longer.
    const early = () => reconnect.lost(loss(1012, { wasWelcomed: true, retryAfterMs: 800 }), half).delayMs;
    expect(Array.from({ length: 8 }, early)).toEqual([800, 800, 800, 800, 1_000, 1_000, 2_000, 2_000]);
    expect(reconnect.way.endpoint).toBe('a');
  });
});

describe('[SDK-9] permanent codes', () => {
  it.each([1002, 1003, 1007, 1008, 1009, 1010, 4400, 4401, 4403, 4410])('%i ends it', (code) => {
    const { delayMs, error } = new Reconnect(['a', 'b'], 'auto', false).lost(loss(code), half);
    expect(delayMs).toBeNull();
    expect(error).toMatchObject({ message: 'why', temporary: false });
  });

  it.each([1000, 1001, 1005, 1006, 1011, 1012, 1013, 4500, 4503, 4508, 4529])('%i does not', (code) => {
    expect(new Reconnect(['a'], 'auto', false).lost(loss(code), half).delayMs).not.toBeNull();
  });

  it.each([4404, NOT_OVATION])('%i strikes out one endpoint; without another one it ends', (code) => {
    const reconnect = new Reconnect(['a', 'b'], 'auto', false);
    expect(reconnect.lost(loss(code), half)).toMatchObject({ delayMs: 250, error: { code: 'not-found', temporary: false } });
    expect(reconnect.way.endpoint).toBe('b');
    expect(reconnect.lost(loss(code), half)).toMatchObject({ delayMs: null, error: { code: 'not-found', temporary: false } });
  });

  it.each([4404, NOT_OVATION])('[SDK-20] %i passes at an endpoint that has welcomed us, unless it says so itself', (code) => {
    const reconnect = new Reconnect(['a', 'b'], 'websocket', false);
    reconnect.welcomed();
    expect(reconnect.lost(loss(1006, { wasWelcomed: true, wasStable: true }), half).delayMs).toBe(250);
    const codes = Array.from({ length: 6 }, () => [reconnect.way.endpoint, reconnect.lost(loss(code), half).error?.temporary ?? null]);
    expect(codes).toEqual([['a', null], ['b', false], ['a', true], ['a', true], ['a', true], ['a', true]]);
    expect(reconnect.lost(loss(code, { wasWelcomed: true }), half)).toMatchObject({ delayMs: null, error: { code: 'not-found' } });
  });

  it('[SDK-20] a stream that drains is closed to who comes new, and goes on over HTTP for who was there', () => {
    const reconnect = new Reconnect(['a'], 'auto', false);
    const drains = loss(4423, { wasWelcomed: true, wasStable: true });
    reconnect.welcomed();
    expect(reconnect.lost(drains, half)).toMatchObject({ delayMs: null, error: { code: 'stream-draining', temporary: false } });
    reconnect.welcomed();
    expect(reconnect.lost(drains, half)).toEqual({ delayMs: 250, error: null });
    expect(reconnect.way).toEqual({ endpoint: 'a', overHttp: true });
    const bySocket = new Reconnect(['a'], 'websocket', false);
    bySocket.welcomed();
    bySocket.welcomed();
    expect(bySocket.lost(drains, half)).toEqual({ delayMs: 250, error: null });
    expect(bySocket.way).toEqual({ endpoint: 'a', overHttp: false });
  });

  it('[SDK-12] a refused token is asked for anew once', () => {
    const reconnect = new Reconnect(['a'], 'auto', true);
    expect(reconnect.lost(loss(4401, { wasWelcomed: true }), half)).toMatchObject({ delayMs: 250, error: null });
    expect(reconnect.lost(loss(4401, { wasWelcomed: true }), half)).toMatchObject({ delayMs: null, error: { code: 'unauthenticated' } });
  });
});

describe('[SDK-10] ways', () => {
  const ways = (reconnect: Reconnect, count: number) =>
    Array.from({ length: count }, () => {
      reconnect.lost(loss(1006), half);
      const { endpoint, overHttp } = reconnect.way;
      return `${endpoint}${overHttp ? '+http' : ''}`;
    });

  it('after three WebSockets without a welcome HTTP is tried too, at every endpoint', () => {
    expect(ways(new Reconnect(['a', 'b'], 'auto', false), 7)).toEqual(['b', 'a', 'a+http', 'b', 'b+http', 'a', 'a+http']);
  });

  it('who was connected over HTTP tries one WebSocket, and then HTTP again', () => {
    const reconnect = new Reconnect(['a'], 'auto', false);
    expect(ways(reconnect, 3).at(-1)).toBe('a+http');
    reconnect.lost(loss(1006, { wasWelcomed: true, wasStable: true }), half);
    expect(reconnect.way.overHttp).toBe(false);
    expect(ways(reconnect, 1)).toEqual(['a+http']);
    reconnect.take({ endpoint: 'a', overHttp: false });
    expect(ways(reconnect, 3)).toEqual(['a', 'a', 'a+http']);
  });

  it('a region that refuses is not taken for a network that blocks, and the app is told once', () => {
    const reconnect = new Reconnect(['a', 'b'], 'auto', false);
    const errors = Array.from({ length: 12 }, () => {
      const { error } = reconnect.lost(loss(4503), half);
      expect(reconnect.way.overHttp).toBe(false);
      return error;
    });
    expect(errors.find((error) => error !== null)).toMatchObject({ code: 'overloaded', temporary: true });
    // One that got through is a sign that others will.
    const mixed = new Reconnect(['a'], 'auto', false);
    for (const code of [1006, 1006, 4503, 1006, 1006]) mixed.lost(loss(code), half);
    expect(mixed.way.overHttp).toBe(false);
  });

  it('unless the app wants one way', () => {
    expect(ways(new Reconnect(['a'], 'websocket', false), 5).join()).toBe('a,a,a,a,a');
    expect(ways(new Reconnect(['a'], 'http', false), 2).join()).toBe('a+http,a+http');
  });
});

describe('[SDK-17] better ways', () => {
  const found = (reconnect: Reconnect, count: number) =>
    Array.from({ length: count }, () => {
      const way = reconnect.better();
      return way === null ? null : `${way.endpoint}${way.overHttp ? '+http' : ''}`;
    });
  const welcomed = { wasWelcomed: true, wasStable: true };

  it('there is none than a WebSocket to the first endpoint', () => {
    expect(found(new Reconnect(['a', 'b'], 'auto', false), 2)).toEqual([null, null]);
    expect(found(new Reconnect(['a', 'b'], 'http', false), 1)).toEqual([null]);
  });

  it('every nearer endpoint in turn, until one is taken', () => {
    const reconnect = new Reconnect(['a', 'b', 'c'], 'websocket', false);
    reconnect.lost(loss(1006), half);
    reconnect.lost(loss(1006), half);
    expect(reconnect.way.endpoint).toBe('c');
    expect(found(reconnect, 4)).toEqual(['a', 'b', 'a', 'b']);
    reconnect.take({ endpoint: 'b', overHttp: false });
    expect(reconnect.way.endpoint).toBe('b');
    expect(found(reconnect, 2)).toEqual(['a', 'a']);
    reconnect.take({ endpoint: 'a', overHttp: false });
    expect(found(reconnect, 1)).toEqual([null]);
    reconnect.lost(loss(1006, { ...welcomed, wasSilent: true }), half);
    expect(reconnect.way.endpoint).toBe('b');
  });

  it('over HTTP a WebSocket to as near an endpoint, and a nearer one over HTTP as well', () => {
    const reconnect = new Reconnect(['a', 'b'], 'auto', false);
    for (let round = 0; round < 5; round++) reconnect.lost(loss(1006), half);
    expect(reconnect.way).toEqual({ endpoint: 'b', overHttp: true });
    expect(found(reconnect, 4)).toEqual(['a', 'b', 'a+http', 'a']);
    reconnect.take({ endpoint: 'a', overHttp: true });
    expect(found(reconnect, 2)).toEqual(['a', 'a']);
    const http = new Reconnect(['a', 'b'], 'http', false);
    http.lost(loss(1006), half);
    expect(found(http, 2)).toEqual(['a+http', 'a+http']);
  });
});
