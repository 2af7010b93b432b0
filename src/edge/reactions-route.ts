/**
 * `POST /reactions`: one reaction or a list of up to 100, JSON or msgpack, answered after the commit.
 *
 * A list is answered 202 when any of its reactions was counted, with a problem in place of the result
 * of each that was not. When none was, the answer is the first one's problem, with all results.
 */

import { Decoder } from '@msgpack/msgpack';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Batch, IngestReply } from '../aggregator/ingest.ts';
import { problemDocument, type ProblemDocument } from '../protocol/problems.ts';
import { bearerToken, requireStream, requireViewer, type Authenticator, type Claims } from './auth.ts';
import { isDeeperThan } from './msgpack-depth.ts';
import { networkOf } from './network.ts';
import { isAllowedOrigin, type EdgeLimits, type EdgeOptions } from './options.ts';
import { PostLimiter } from './post-limiter.ts';
import { Problem, refusalOf } from './problem.ts';
import { sendProblem } from './problem-reply.ts';
import { batchOf } from './reaction-payload.ts';
import { PostParams, REACTIONS_PER_POST_MAX, ReactionsAnswer, ReactionsBody, problemAnswers } from './schemas.ts';

interface Counted {
  readonly seq: number | null;
  readonly accepted: number;
  readonly clamped: number;
  readonly duplicate: boolean;
}

export interface PostStats {
  posts: number;
  postedReactions: number;
  postsInFlight: number;
  postsRefused: number;
}

export function reactionsRoute(
  app: FastifyInstance,
  options: EdgeOptions,
  limits: EdgeLimits,
  authenticator: Authenticator,
  stats: PostStats,
): void {
  const { config, ingest, runtime, observeAckMs = () => {} } = options;
  const limiter = new PostLimiter(runtime.clock, limits.postsPerSecondMax);

  // Fastify reads it unless told not to.
  app.removeContentTypeParser('text/plain');
  app.addContentTypeParser('application/msgpack', { parseAs: 'buffer' }, (_request, body, done) => {
    try {
      done(null, decodeMsgpack(body as Buffer));
    } catch (error) {
      done(error as Error);
    }
  });
  app.route({ method: 'POST', url: '/reactions', schema: documentation, onRequest: refuseUnread, handler: post });

  /** Reading a post costs more than counting it. */
  async function refuseUnread(): Promise<void> {
    const againMs = options.overload?.postAgainMs() ?? null;
    if (againMs === null) return;
    stats.posts += 1;
    stats.postsRefused += 1;
    throw new Problem('overloaded', 'Nothing was counted. Send the same again, with the same session_id and seq, after a while.', againMs);
  }

  async function post(request: FastifyRequest, reply: FastifyReply): Promise<unknown> {
    stats.posts += 1;
    if (!isAllowedOrigin(config.origins, request.headers.origin)) {
      throw new Problem('forbidden', 'Pages of this origin may not send reactions.');
    }
    const { region } = request.query as { readonly region?: unknown };
    if (region !== undefined && region !== options.region) {
      throw new Problem('wrong-region', `This is region ${options.region}. What another one may have counted belongs there.`);
    }
    const { body } = request;
    const network = networkOf(request.socket.remoteAddress, request.headers['x-forwarded-for'], config.proxies ?? 0);
    const claims = authenticator.open ? null : await authenticator.verify(bearerToken(request.headers.authorization));
    reply.code(202);
    if (!Array.isArray(body)) return counted(body, claims, network);
    if (body.length === 0 || body.length > REACTIONS_PER_POST_MAX) {
      throw new Problem('invalid-batch', `Send 1 to ${REACTIONS_PER_POST_MAX} reactions at once.`);
    }
    const outcomes = await Promise.all(
      body.map((item: unknown) => counted(item, claims, network).catch((error: unknown) => refusedItem(item, error))),
    );
    const results = outcomes.map((outcome) => ('error' in outcome ? outcome.result : outcome));
    const first = outcomes.find((outcome) => 'error' in outcome);
    const isAllRefused = outcomes.every((outcome) => 'error' in outcome);
    return first !== undefined && isAllRefused ? sendProblem(reply, first.error, { results }) : { results };
  }

  /** @throws Problem */
  async function counted(item: unknown, claims: Claims | null, network: string | null): Promise<Counted> {
    try {
      const posted = batchOf(item, network);
      const device = claims?.device ?? null;
      const batch = device === null ? posted : { ...posted, device };
      if (claims !== null) {
        requireViewer(claims, batch.viewer);
        requireStream(claims, batch.stream);
      }
      if (!limiter.admits(batch.viewer)) {
        throw new Problem('rate-limited', `At most ${limits.postsPerSecondMax} reactions a second and viewer. Gather taps.`);
      }
      const reply = await submit(batch);
      if (reply.kind === 'refused') throw refusalOf(reply);
      const { accepted, clamped, duplicate } = reply;
      return { seq: batch.session === null ? null : batch.sequence, accepted, clamped, duplicate };
    } catch (error) {
      stats.postsRefused += 1;
      throw error;
    }
  }

  function submit(batch: Batch): Promise<IngestReply> {
    if (stats.postsInFlight >= limits.postsInFlightMax) {
      return Promise.resolve({ kind: 'refused', reason: 'overloaded' });
    }
    stats.postedReactions += 1;
    stats.postsInFlight += 1;
    const submittedAt = runtime.clock.now();
    return new Promise((resolve) => {
      let isOpen = true;
      const settle = (reply: IngestReply): void => {
        if (!isOpen) return;
        isOpen = false;
        cancel();
        stats.postsInFlight -= 1;
        resolve(reply);
      };
      const cancel = runtime.timers.after(limits.answerMsMax, () => settle({ kind: 'refused', reason: 'unavailable' }));
      ingest.submit(batch, (reply) => {
        observeAckMs(runtime.clock.now() - submittedAt);
        settle(reply);
      });
    });
  }
}

function refusedItem(
  item: unknown,
  error: unknown,
): { readonly error: Problem; readonly result: { readonly seq: number | null; readonly problem: ProblemDocument } } {
  if (!(error instanceof Problem)) throw error;
  const seq = (item as { readonly seq?: unknown } | null)?.seq;
  return {
    error,
    result: {
      seq: Number.isSafeInteger(seq) ? (seq as number) : null,
      problem: problemDocument(error.problem, error.message, error.retryAfterMs),
    },
  };
}

/** A list of reactions, of which each has a list of emoji with their counts. */
const DEPTH_MAX = 4;

/** A decoder of its own each time: what one hostile body makes it keep goes with it. @throws Problem */
function decodeMsgpack(body: Buffer): unknown {
  if (isDeeperThan(DEPTH_MAX, body)) throw new Problem('malformed', 'The body is nested deeper than a list of reactions can be.');
  try {
    const bounds = { maxStrLength: 128, maxBinLength: 0, maxMapLength: 16, maxExtLength: 0 };
    return new Decoder({ ...bounds, maxArrayLength: REACTIONS_PER_POST_MAX + 1 }).decode(body);
  } catch (error) {
    throw new Problem('malformed', `The body is not msgpack as documented: ${(error as Error).message.slice(0, 100)}.`);
  }
}

const bodyContent = {
  content: { 'application/json': { schema: ReactionsBody }, 'application/msgpack': { schema: ReactionsBody } },
};

const documentation = {
  tags: ['reactions'],
  summary: 'Send reactions',
  description:
    'Answered after the commit: what is acknowledged is counted exactly once. With session_id and seq a reaction may be sent again for 5 minutes.',
  security: [{}, { token: [] }],
  querystring: PostParams,
  body: bodyContent,
  response: {
    202: { description: 'Committed', content: { 'application/json': { schema: ReactionsAnswer } } },
    ...problemAnswers(400, 401, 403, 408, 410, 413, 415, 421, 422, 429, 503),
  },
};
