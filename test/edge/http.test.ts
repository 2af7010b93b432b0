import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { connect, type Socket } from 'node:net';
import { encode } from '@msgpack/msgpack';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { InvalidHistoryQuery } from '../../src/analytics/history.ts';
import { WindowStoreOutdated, WindowStoreUnavailable, type HistoryPoint, type HistoryQuery } from '../../src/analytics/window-store.ts';
import type { Edge } from '../../src/edge/server.ts';
import { DEFAULT_POLICY } from '../../src/moderation/policy.ts';
import { eventually } from './eventually.ts';
import { FakeRegion, startEdge } from './fake-region.ts';

const good = { stream_id: 'derby', viewer_id: 'ann', emoji_id: 'heart', count_since_last: 3, timestamp: 1_795_342_812_345 };
const region = new FakeRegion();
let edge: Edge;
let http: string;
let port: number;
let history: (query: HistoryQuery) => Promise<HistoryPoint[]>;

beforeAll(async () => {
  ({ edge, http, port } = await startEdge(region, {
    config: { origins: ['https://player.test'] },
    history: (query) => history(query),
    async stored(stream) {
      if (stream === 'unstored') throw new WindowStoreUnavailable('gone');
      if (stream === 'unmigrated') throw new WindowStoreOutdated('no table');
      return [{ actor: 'us/0/1', emoji: 'heart', increments: 7, decrements: 1 }];
    },
    limits: { answerMsMax: 300 },
  }));
});
afterAll(() => edge.stop({ graceMs: 500 }));
beforeEach(() => {
  region.answer = null;
  region.frame = {};
  region.readFails = false;
  history = () => Promise.resolve([]);
});
let sessions = 0;
const once = () => ({ session_id: `s${(sessions += 1)}`, seq: 1 });

async function post(body: unknown, headers: Record<string, string> = {}, query = '') {
  const text = typeof body === 'string' || body instanceof Uint8Array ? body : JSON.stringify(body);
  const response = await fetch(`${http}/reactions${query}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: text as string,
  });
  return { status: response.status, headers: response.headers, body: (await response.json()) as Record<string, unknown> };
}

/** Asserts a problem document, whole. */
function expectProblem(answer: Awaited<ReturnType<typeof post>>, status: number, name: string): void {
  expect(answer.body).toMatchObject({ type: `urn:ovation:problem:${name}`, status });
  expect(answer.status).toBe(status);
  expect(answer.headers.get('content-type')).toMatch(/^application\/problem\+json/);
  expect(String(answer.body['detail']).length).toBeGreaterThan(10);
  expect(answer.headers.has('retry-after')).toBe([408, 421, 429, 500, 503].includes(status));
}

describe('POST /reactions', () => {
  it('[EDGE-10] counts the documented payload and answers with what was counted', async () => {
    const { status, body } = await post({ ...good, ...once() });
    expect(status).toBe(202);
    expect(body).toEqual({ seq: 1, accepted: 3, clamped: 0, duplicate: false });
    expect(region.batches.at(-1)).toMatchObject({ stream: 'derby', viewer: 'ann', sequence: 1, reactions: [['heart', 3]] });
  });

  it('[EDGE-10] counts once what is sent twice with the same session and sequence', async () => {
    const twice = { ...good, timestamp: '2026-11-22T10:00:00.000Z', ...once() };
    expect((await post(twice)).body).toEqual({ seq: 1, accepted: 3, clamped: 0, duplicate: false });
    expect((await post(twice)).body).toEqual({ seq: 1, accepted: 3, clamped: 0, duplicate: true });
  });

  it('[EDGE-10] without a session every POST counts', async () => {
    expect((await post(good)).body).toEqual({ seq: null, accepted: 3, clamped: 0, duplicate: false });
    expect((await post(good)).body).toMatchObject({ duplicate: false });
    expect(region.batches.at(-1)).toMatchObject({ session: null, sequence: 0 });
  });

  it('[EDGE-10] tells the excess as clamped', async () => {
    expect((await post({ ...good, ...once(), count_since_last: 50 })).body).toMatchObject({ accepted: 40, clamped: 10 });
  });

  it('[EDGE-10] takes several emoji, and msgpack', async () => {
    const { emoji_id: _e, count_since_last: _c, ...rest } = good;
    const reactions = [
      { emoji_id: 'heart', count_since_last: 2 },
      { emoji_id: 'fire', count_since_last: 1 },
    ];
    const answer = await post(encode({ ...rest, reactions, ...once() }), { 'content-type': 'application/msgpack' });
    expect(answer).toMatchObject({ status: 202, body: { accepted: 3 } });
    expect(region.batches.at(-1)!.reactions).toEqual([
      ['heart', 2],
      ['fire', 1],
    ]);
  });

  it('[EDGE-11] a list is answered item by item', async () => {
    const { status, body } = await post([{ ...good, ...once() }, { ...good, count_since_last: 0, session_id: 's', seq: 9 }, 7]);
    expect(status).toBe(202);
    expect(body['results']).toMatchObject([
      { seq: 1, accepted: 3 },
      { seq: 9, problem: { type: 'urn:ovation:problem:invalid-batch', status: 422 } },
      { seq: null, problem: { type: 'urn:ovation:problem:invalid-batch', status: 422 } },
    ]);
  });

  it('[EDGE-11] a list of which nothing was counted is a problem with all results', async () => {
    region.answer = () => ({ kind: 'refused', reason: 'overloaded', retryAfterMs: 2300 });
    const answer = await post([good, good]);
    expectProblem(answer, 503, 'overloaded');
    expect(answer.headers.get('retry-after')).toBe('3');
    expect(answer.body['retry_after_ms']).toBe(2300);
    expect(answer.body['results']).toHaveLength(2);
  });

  it('[EDGE-11] each reaction of a list that was refused comes back when its own refusal says', async () => {
    const { session_id } = once();
    const waits = new Map([[1, 400.2], [2, 2300]]);
    region.answer = ({ sequence }) => (waits.has(sequence) ? { kind: 'refused', reason: 'overloaded', retryAfterMs: waits.get(sequence)! } : null);
    const { status, body } = await post([1, 2, 3, 4].map((seq) => ({ ...good, session_id, seq, count_since_last: seq === 4 ? 0 : 1 })));
    expect(status).toBe(202);
    const problems = (body['results'] as { readonly problem?: { readonly retry_after_ms?: number } }[]).map(({ problem }) => problem);
    expect(problems.map((problem) => problem?.retry_after_ms)).toEqual([401, 2300, undefined, undefined]);
    expect(problems[3]).toMatchObject({ status: 422 });
  });

  const invalid: Record<string, object> = {
    'an unknown field': { ...good, sequence: 1 },
    'no viewer': { ...good, viewer_id: undefined },
    'a viewer with a space': { ...good, viewer_id: 'a b' },
    'no timestamp': { ...good, timestamp: undefined },
    'a timestamp of no format': { ...good, timestamp: 'yesterday' },
    'a timestamp that no date holds': { ...good, timestamp: 1e308 },
    'a count too large': { ...good, count_since_last: 10_001 },
    'seq without session': { ...good, seq: 1 },
    'session without seq': { ...good, session_id: 's' },
    'seq 0': { ...good, session_id: 's', seq: 0 },
    'seq 2^53': { ...good, session_id: 's', seq: 2 ** 53 },
    'no emoji at all': { ...good, emoji_id: undefined, count_since_last: undefined },
    'both ways': { ...good, reactions: [{ emoji_id: 'fire', count_since_last: 1 }] },
    'an emoji twice': {
      ...good,
      emoji_id: undefined,
      count_since_last: undefined,
      reactions: Array.from({ length: 2 }, () => ({ emoji_id: 'fire', count_since_last: 1 })),
    },
    'an empty list': [],
    'a list of 101': Array.from({ length: 101 }, () => ({ a: 1 })),
  };
  it.each(Object.entries(invalid))('[EDGE-12] refuses %s with 422', async (_name, body) => {
    const before = region.batches.length;
    expectProblem(await post(body), 422, 'invalid-batch');
    expect(region.batches).toHaveLength(before);
  });

  it('[EDGE-12] refuses what cannot be read with 400', async () => {
    expectProblem(await post('{'), 400, 'malformed');
    expectProblem(await post(Uint8Array.of(0xc1), { 'content-type': 'application/msgpack' }), 400, 'malformed');
  });

  it('[EDGE-12] a time below zero by its sign alone is refused, as over WebSocket', async () => {
    expectProblem(await post(JSON.stringify(good).replace(String(good.timestamp), '-0')), 422, 'invalid-batch');
  });

  it('[EDGE-12] refuses other media types, and bodies too large', async () => {
    for (const type of ['application/x-www-form-urlencoded', 'text/plain']) {
      expectProblem(await post('a=b', { 'content-type': type }), 415, 'unsupported-media-type');
    }
    expectProblem(await post(`"${'x'.repeat(70_000)}"`), 413, 'too-large');
  });

  it('[EDGE-13] passes on why the aggregator refuses', async () => {
    const statuses = { 'stream-ended': 410, 'unknown-emoji': 422, 'stale-sequence': 422, overloaded: 503, unavailable: 503 } as const;
    for (const [reason, status] of Object.entries(statuses) as [keyof typeof statuses, number][]) {
      region.answer = () => ({ kind: 'refused', reason });
      expectProblem(await post(good), status, reason);
    }
  });

  it('[EDGE-13] does not wait for ever for a commit', async () => {
    region.holds = true;
    expectProblem(await post(good), 503, 'unavailable');
    region.holds = false;
    region.release();
    expect(edge.stats['postsInFlight']).toBe(0);
  });

  it('[EDGE-14] limits the posts of one viewer, not those of others', async () => {
    const flood = await Promise.all(
      Array.from({ length: 3 }, () => post(Array.from({ length: 100 }, () => ({ ...good, viewer_id: 'flood' })))),
    );
    const problems = JSON.stringify(flood.map((answer) => answer.body));
    expect(problems).toContain('urn:ovation:problem:rate-limited');
    const refused = flood.find((answer) => answer.status !== 202);
    if (refused !== undefined) expectProblem(refused, 429, 'rate-limited');
    expect((await post({ ...good, viewer_id: 'other' })).status).toBe(202);
  });

  it('[EDGE-15] refuses pages of foreign origins, lets the configured through', async () => {
    expectProblem(await post(good, { origin: 'https://evil.test' }), 403, 'forbidden');
    const answer = await post(good, { origin: 'https://player.test' });
    expect(answer.status).toBe(202);
    expect(answer.headers.get('access-control-allow-origin')).toBe('https://player.test');
  });
});

describe('POST /reactions with via', () => {
  it('[EDGE-17] hands on where a batch may have been received before, and refuses what cannot be', async () => {
    expect((await post({ ...good, ...once(), via: ['eu', 'ap', 'eu'] })).status).toBe(202);
    expect(region.batches.at(-1)!.via).toEqual(['eu', 'ap', 'eu']);
    expect((await post({ ...good, ...once() })).status).toBe(202);
    expect(region.batches.at(-1)!).not.toHaveProperty('via');
    for (const via of [[], 'eu', ['eu', 'eu'], ['e.u'], ['__proto__'], Array.from({ length: 9 }, (_, index) => `r${index}`)]) {
      expectProblem(await post({ ...good, ...once(), via }), 422, 'invalid-batch');
    }
    expectProblem(await post({ ...good, via: ['eu'] }), 422, 'invalid-batch');
  });
});

describe('POST /reactions?region=', () => {
  it('[EDGE-16] a post for another region is refused and counts nothing, one for this region counts', async () => {
    const resent = { ...good, ...once() };
    const before = region.batches.length;
    expectProblem(await post(resent, {}, '?region=eu'), 421, 'wrong-region');
    expect(region.batches.length).toBe(before);
    expect((await post(resent, {}, '?region=us')).status).toBe(202);
    expectProblem(await post(resent, {}, '?region=us&region=eu'), 421, 'wrong-region');
  });
});

describe('reading', () => {
  it('[EDGE-20] answers the converged totals with rates, viewers and staleness', async () => {
    await post({ ...good, stream_id: 'totals' });
    const answer = await fetch(`${http}/streams/totals/reactions`);
    expect(answer.headers.get('x-content-type-options')).toBe('nosniff');
    expect(await answer.json()).toEqual({
      stream_id: 'totals',
      region: 'us',
      at: 1_795_342_812_346,
      palette: Object.fromEntries(DEFAULT_POLICY.palette),
      level: 'exact',
      totals: { heart: 3 },
      rates: { heart: 1.23 },
      viewers: 3,
      staleness: { eu: 13, ap: null },
    });
  });

  it('[FRAME-13] says with the totals how many taps were taken back', async () => {
    region.frame = { corrected: 7 };
    const answer = await fetch(`${http}/streams/totals/reactions`);
    region.frame = {};
    expect(await answer.json()).toMatchObject({ corrected: 7 });
  });

  it('[EDGE-20] a feed that does not answer is 503, a broken path 400, an unknown one 404', async () => {
    region.readFails = true;
    const get = async (path: string) => {
      const response = await fetch(http + path);
      return { status: response.status, headers: response.headers, body: (await response.json()) as Record<string, unknown> };
    };
    expectProblem(await get('/streams/x/reactions'), 503, 'unavailable');
    for (const id of ['a.b', '*', '%3E', '%00', '..%2f', '__proto__', 'x'.repeat(65)]) {
      expectProblem(await get(`/streams/${id}/reactions`), 400, 'malformed');
    }
    expectProblem(await get('/streams/%zz/reactions'), 400, 'malformed');
    expectProblem(await get('/nowhere'), 404, 'not-found');
    expectProblem(await get(`/streams/${'x'.repeat(200)}/reactions`), 400, 'malformed');
  });

  it('[EDGE-21] shows the books, the database’s and what is known of peers', async () => {
    const answer = (await (await fetch(`${http}/streams/derby/audit`)).json()) as object;
    expect(answer).toEqual({
      stream_id: 'derby',
      region: 'us',
      digest: '00000000deadbeef',
      actor: 'us/0/2',
      acknowledged: 5,
      claims_in_doubt: 1,
      counted: 5,
      entries: [
        { actor: 'us/0/1', emoji_id: 'heart', increments: 7, decrements: 1 },
        { actor: 'us/0/2', emoji_id: 'heart', increments: 5, decrements: 0 },
      ],
      stored: [{ actor: 'us/0/1', emoji_id: 'heart', increments: 7, decrements: 1 }],
      stored_reason: null,
      peers: { eu: { state: 'live' } },
    });
    const without = await (await fetch(`${http}/streams/unstored/audit`)).json();
    expect(without).toMatchObject({ stored: null, stored_reason: expect.stringContaining('cannot be reached') });
    const unmigrated = await (await fetch(`${http}/streams/unmigrated/audit`)).json();
    expect(unmigrated).toMatchObject({ stored: null, stored_reason: expect.stringContaining('ovation migrate') });
  });

  it('[EDGE-22] answers history as JSON or CSV, and why it cannot', async () => {
    history = (query) => Promise.resolve([{ emoji: 'heart', windowStart: query.from, count: 4, normalizedRate: null }]);
    const url = `${http}/streams/derby/reactions/history?from=0&to=1000`;
    expect(await (await fetch(url)).json()).toMatchObject({
      stream_id: 'derby',
      points: [{ emoji_id: 'heart', window_start: '1970-01-01T00:00:00.000Z', count: 4, normalized_rate: null }],
    });
    for (const csv of [await fetch(`${url}&format=csv`), await fetch(url, { headers: { accept: 'text/csv' } })]) {
      expect(csv.headers.get('content-type')).toMatch(/^text\/csv/);
      expect(await csv.text()).toBe(
        'stream_id,emoji_id,window_start,count,normalized_rate\r\nderby,heart,1970-01-01T00:00:00.000Z,4,\r\n',
      );
    }
    expect((await fetch(`${url}&step=2s`)).status).toBe(400);
    history = () => Promise.reject(new InvalidHistoryQuery('more than 10000 points'));
    expect((await fetch(url)).status).toBe(400);
    history = () => Promise.reject(new WindowStoreUnavailable('gone'));
    const away = await fetch(url);
    expect([away.status, await away.json()]).toMatchObject([503, { type: 'urn:ovation:problem:history-unavailable', detail: expect.stringContaining('Try again') }]);
    history = () => Promise.reject(new WindowStoreOutdated('no table'));
    expect(await (await fetch(url)).json()).toMatchObject({ type: 'urn:ovation:problem:history-unavailable', detail: expect.stringContaining('ovation migrate') });
  });

  it('[EDGE-23] /docs/json is OpenAPI 3.1 of all routes, /docs a page that loads nothing from elsewhere', async () => {
    const document = (await (await fetch(`${http}/docs/json`)).json()) as { openapi: string; paths: object };
    expect(document.openapi).toBe('3.1.0');
    expect(Object.keys(document.paths).sort()).toEqual([
      '/reactions',
      '/streams',
      '/streams/{id}/audit',
      '/streams/{id}/flagged',
      '/streams/{id}/reactions',
      '/streams/{id}/reactions/history',
    ]);
    expect(document.paths).toMatchObject({
      '/reactions': {
        post: {
          requestBody: { content: { 'application/json': { schema: {} }, 'application/msgpack': { schema: {} } } },
          responses: { 202: {}, 422: { content: { 'application/problem+json': {} } } },
        },
      },
    });
    const page = await fetch(`${http}/docs`);
    expect(page.headers.get('content-security-policy')).toContain("script-src 'self'");
    const sources = [...(await page.text()).matchAll(/(?:src|href)="([^"]+)"/g)].map((match) => match[1]!);
    expect(sources.length).toBeGreaterThan(3);
    for (const source of sources) {
      expect(source).not.toMatch(/^(https?:)?\/\//);
      expect((await fetch(new URL(source, `${http}/docs`))).status).toBe(200);
    }
  });
});

describe('broken requests', () => {
  /** Writes bytes to a bare socket and gives what comes back until it is closed. */
  function exchange(bytes: string): Promise<string> {
    return new Promise((resolve) => {
      let answer = '';
      const socket = connect(port, '127.0.0.1', () => socket.write(bytes));
      socket.on('data', (chunk) => (answer += chunk.toString()));
      socket.on('error', () => {});
      socket.on('close', () => resolve(answer));
    });
  }

  it('[EDGE-24] are answered with problem documents and closed, and the rest is served', async () => {
    expect(await exchange(`GET / HTTP/1.1\r\nhost: x\r\nx: ${'y'.repeat(17_000)}\r\n\r\n`)).toMatch(/^HTTP\/1.1 431 .*headers-too-large/s);
    expect(await exchange('HELO there\r\n\r\n')).toMatch(/^HTTP\/1.1 400 .*problem:malformed/s);
    await eventually(async () => expect((await fetch(`${http}/streams/x/reactions`)).status).toBe(200));
  });

  const offer = 'host: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAAAAIAAAAA';
  it('[EDGE-26] an offer to go on in another protocol is passed over: the request is served as if it were not there', async () => {
    expect(await exchange(`GET /streams/x/reactions HTTP/1.1\r\n${offer}\r\n\r\n`)).toMatch(/^HTTP\/1.1 200 .*"stream_id":"x"/s);
    expect(await exchange(`GET /nowhere HTTP/1.1\r\n${offer}\r\n\r\n`)).toMatch(/^HTTP\/1.1 404 .*problem:not-found/s);
    const body = JSON.stringify({ ...good, ...once() });
    const length = Buffer.byteLength(body);
    expect(await exchange(`POST /reactions HTTP/1.1\r\n${offer}\r\ncontent-type: application/json\r\ncontent-length: ${length}\r\n\r\n${body}`)).toMatch(/^HTTP\/1.1 202 .*"accepted":3/s);
    const chunked = JSON.stringify({ ...good, ...once() });
    const chunks = [chunked.slice(0, 9), chunked.slice(9), ''].map((chunk) => `${chunk.length.toString(16)}\r\n${chunk}\r\n`);
    expect(await exchange(`POST /reactions HTTP/1.1\r\n${offer}\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n${chunks.join('')}`)).toMatch(/^HTTP\/1.1 202 /);
    // Nothing of what follows is taken for another request.
    const before = region.batches.length;
    const second = JSON.stringify({ ...good, ...once() });
    const follows = `POST /reactions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: ${second.length}\r\n\r\n${second}`;
    await exchange(`GET /streams/x/reactions HTTP/1.1\r\n${offer}\r\n\r\n${follows}`);
    expect(region.batches).toHaveLength(before);
  });

  it('[EDGE-25] who does not read its answer is cut, and a WebSocket that is silent for as long is not', async () => {
    const accepted: Socket[] = [];
    const note = (message: unknown): void => void accepted.push((message as { readonly socket: Socket }).socket);
    const quick = await startEdge(new FakeRegion(), { limits: { stuckMs: 1_000, answerMsMax: 500 } });
    const viewer = new WebSocket(`${quick.ws}/streams/x/reactions`);
    await new Promise((resolve) => viewer.once('message', resolve));
    subscribe('net.server.socket', note);
    const idler = connect(quick.port, '127.0.0.1').pause();
    // More than the system keeps for a reader.
    idler.write('GET /docs/static/swagger-ui-bundle.js HTTP/1.1\r\nhost: x\r\n\r\n'.repeat(40));
    await eventually(() => expect(accepted.map(({ bytesWritten }) => bytesWritten > 0)).toEqual([true]));
    await eventually(() => expect(accepted[0]!.destroyed).toBe(true));
    unsubscribe('net.server.socket', note);
    expect(viewer.readyState).toBe(WebSocket.OPEN);
    viewer.terminate();
    idler.destroy();
    await quick.edge.stop({ graceMs: 500 });
  });
});
