import { expect, test } from 'vitest';
import type { Platform } from '../../src/client/client-types.ts';
import { openHttp } from '../../src/client/http-link.ts';
import { postAndForget, postBatches, type Post } from '../../src/client/post-batches.ts';
import type { BatchMessage, ServerMessage } from '../../src/protocol/messages.ts';
import { createSimulatedRuntime } from '../support/simulated-runtime.ts';
import { SimulatedWorld } from './simulated-regions.ts';

/** As long as they may be. */
const reactions = Array.from({ length: 32 }, (_, index) => ({ emoji_id: `${'e'.repeat(60)}${index}`, count: 1 }));
const batch = (seq: number): BatchMessage => ({ type: 'batch', seq, reactions, timestamp: 0 });
const batches = Array.from({ length: 32 }, (_, index) => batch(index + 1));
const post: Post = { endpoint: 'https://us.test', region: 'us', streamId: 'derby', viewerId: 'ann', sessionId: 's', token: undefined, batches };
const seqsOf = (body: unknown): number[] => (JSON.parse(String(body)) as { seq: number }[]).map(({ seq }) => seq);
const counted = (seqs: readonly number[]) => Response.json({ results: seqs.map((seq) => ({ seq, accepted: 32, clamped: 0, duplicate: false })) }, { status: 202 });
const problem = (name: string, status: number, more: object = {}) => ({ type: `urn:ovation:problem:${name}`, title: '', detail: 'why', status, ...more });

test('[SDK-10] more than one body may hold is posted in several, one after the other', async () => {
  const runtime = createSimulatedRuntime(1);
  const world = new SimulatedWorld(runtime, 'us');
  const bodies: string[] = [];
  const received: ServerMessage[] = [];
  const fetch: NonNullable<Platform['fetch']> = (url, init) => {
    if (init.method !== 'POST') return world.platform().fetch!(url, init);
    bodies.push(String(init.body));
    return Promise.resolve(counted(seqsOf(init.body)));
  };
  const link = openHttp(fetch, runtime, 'https://us.test', 'derby', { message: (message) => received.push(message), lost: () => {}, unreadable: () => {} });
  await runtime.runUntil(() => received.length > 0);
  link.hello({ type: 'hello', session_id: 's', viewer_id: 'ann' });
  link.send(batches);
  const acks = (): number[] => received.flatMap((message) => (message.type === 'ack' ? message.seq : []));
  await runtime.runUntil(() => acks().length === 32);
  expect(acks()).toEqual(batches.map(({ seq }) => seq));
  expect(bodies.length).toBeGreaterThan(1);
  for (const body of bodies) expect(body.length).toBeLessThan(65_536);
  link.close();
});

test('[SDK-10] what takes less than a region does gets less at once, and a single batch that is too large is refused', async () => {
  const sizes: number[] = [];
  const takes = (most: number): NonNullable<Platform['fetch']> => (_url, { body }) => {
    const seqs = seqsOf(body);
    sizes.push(seqs.length);
    return Promise.resolve(seqs.length > most ? Response.json(problem('too-large', 413), { status: 413 }) : counted(seqs));
  };
  expect((await postBatches(takes(3), post)).map(({ seq }) => seq)).toEqual([1, 2]);
  expect(sizes).toEqual([32, 16, 8, 4, 2]);
  expect(await postBatches(takes(0), { ...post, batches: [batch(7)] })).toMatchObject([{ type: 'error', seq: 7, code: 'too-large', temporary: false }]);
  const proxy = () => Promise.resolve(new Response('<html>413</html>', { status: 413 }));
  await expect(postBatches(proxy, post)).rejects.toThrow();
});

test('[SDK-10] what is no answer of a region answers nothing', async () => {
  const answers = [{ message: 'Not Found' }, [], { results: [{ seq: 1, accepted: 32, clamped: 0, duplicate: false }] }, { type: 'about:blank', detail: 'no', status: 404 }];
  for (const answer of answers) await expect(postBatches(() => Promise.resolve(Response.json(answer, { status: 404 })), post), JSON.stringify(answer)).rejects.toThrow();
});

test('[SDK-10] each batch comes back when its own refusal says', async () => {
  const results = [
    { seq: 1, problem: problem('overloaded', 503, { retry_after_ms: 400 }) },
    { seq: 2, problem: problem('overloaded', 503, { retry_after_ms: 2_300 }) },
    { seq: 3, problem: problem('unknown-emoji', 422) },
  ];
  const answered = await postBatches(() => Promise.resolve(Response.json({ results }, { status: 202 })), { ...post, batches: batches.slice(0, 3) });
  expect(answered).toMatchObject([
    { seq: 1, code: 'overloaded', temporary: true, retry_after_ms: 400 },
    { seq: 2, code: 'overloaded', temporary: true, retry_after_ms: 2_300 },
    { seq: 3, code: 'unknown-emoji', temporary: false },
  ]);
  expect(answered[2]).not.toHaveProperty('retry_after_ms');
  const whole = Response.json(problem('overloaded', 503, { retry_after_ms: 700 }), { status: 503 });
  expect(await postBatches(() => Promise.resolve(whole), { ...post, batches: [batch(1)] })).toMatchObject([{ seq: 1, retry_after_ms: 700 }]);
});

test('[SDK-11] a batch that is too large alone is posted as it is, once', () => {
  const posts: number[][] = [];
  const fetch: NonNullable<Platform['fetch']> = (_url, { body }) => Promise.resolve(Response.json(posts.push(seqsOf(body))));
  postAndForget({ fetch }, { ...post, viewerId: 'x'.repeat(70_000), batches: [batch(1)] });
  expect(posts).toEqual([[1]]);
});
