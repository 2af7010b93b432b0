/**
 * `GET /streams`: what is going on in this region, for moderators. Tells also who asks and how the region stands
 * with its peers, which is all that a console asks every second.
 */

import { Type } from 'typebox';
import type { FastifyInstance } from 'fastify';
import { isId, type StreamId } from '../../crdt/ids.ts';
import { bearerToken, requireModerator, type Authenticator, type Claims } from './auth.ts';
import { limitParam } from './limit-param.ts';
import type { EdgeLimits, EdgeOptions } from './options.ts';
import { within } from './problem.ts';
import { problemAnswers } from './schemas.ts';

const LIMIT = limitParam(500);
/** Of a token that names streams one by one, so many are looked at. */
const NAMED_MAX = 1_000;

export function streamsRoute(app: FastifyInstance, options: EdgeOptions, limits: EdgeLimits, authenticator: Authenticator): void {
  const { feed, policyOf, peers, region, runtime } = options;

  app.route({
    method: 'GET',
    url: '/streams',
    schema: documentation,
    async handler(request) {
      const claims = authenticator.open ? null : await authenticator.verify(bearerToken(request.headers.authorization));
      const named = claims === null ? null : namedBy(claims);
      const limit = LIMIT.of(request.query);
      const listed = await within(runtime.timers, limits.answerMsMax, feed.streams(limit, named));
      return {
        region,
        at: Math.round(runtime.clock.now()),
        who: claims === null ? null : { sub: claims.viewer, role: claims.role, streams: claims.streams },
        streams: listed.map(({ stream, level, total, rate, viewers }) => ({
          stream_id: stream,
          state: policyOf(stream).state,
          level,
          total,
          rate,
          viewers,
        })),
        peers: peers(),
      };
    },
  });
}

/** The streams that a moderator's token names; null for all. @throws Problem */
function namedBy(claims: Claims): readonly StreamId[] | null {
  // Moderators of some streams may read this list, but of those streams alone.
  requireModerator(claims, claims.streams === '*' ? null : (claims.streams[0] ?? null));
  return claims.streams === '*' ? null : claims.streams.filter(isId).slice(0, NAMED_MAX).map((stream) => stream as StreamId);
}

const Answer = Type.Object({
  region: Type.String(),
  at: Type.Integer({ description: 'milliseconds since the epoch' }),
  who: Type.Union(
    [
      Type.Object({
        sub: Type.String(),
        role: Type.String({ enum: ['moderator', 'admin'] }),
        streams: Type.Union([Type.Array(Type.String()), Type.Literal('*')]),
      }),
      Type.Null(),
    ],
    { description: 'the token’s claims; null where no tokens are used' },
  ),
  streams: Type.Array(
    Type.Object({
      stream_id: Type.String(),
      state: Type.String({ enum: ['live', 'draining', 'ended'] }),
      level: Type.String({ enum: ['exact', 'relaxed', 'hearts', 'static'] }),
      total: Type.Integer(),
      rate: Type.Number({ description: 'reactions per second, smoothed' }),
      viewers: Type.Integer(),
    }),
    { description: 'liveliest first' },
  ),
  peers: Type.Any({ description: 'what this region knows of its peers' }),
});

const documentation = {
  tags: ['moderation'],
  summary: 'What is going on',
  description:
    'The streams that are watched here or changed last; with a token that names streams, those. Needs the role moderator or admin where tokens are used.',
  security: [{}, { token: [] }],
  querystring: Type.Object({ limit: LIMIT.schema }),
  response: { 200: { description: 'The streams', content: { 'application/json': { schema: Answer } } }, ...problemAnswers(400, 401, 403, 503) },
};
