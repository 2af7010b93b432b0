/** `GET /control/{document}/changes`: who changed what of a policy, and what of it is not heard. */

import { Type } from 'typebox';
import type { FastifyInstance } from 'fastify';
import type { Authenticator } from './auth.ts';
import { PolicyProblems, documentOf, documentRoute } from './document-param.ts';
import type { EdgeControl, EdgeLimits, EdgeOptions } from './options.ts';
import { Problem, within } from './problem.ts';
import { problemAnswers } from './schemas.ts';

const LIMIT_DEFAULT = 100;
const LIMIT_MAX = 1_000;

export function controlRoute(
  app: FastifyInstance,
  { runtime }: EdgeOptions,
  { plane, changes }: EdgeControl,
  limits: EdgeLimits,
  authenticator: Authenticator,
): void {
  app.route({
    method: 'GET',
    url: '/control/:document/changes',
    schema: documentation,
    async handler(request) {
      const { document } = await documentOf(request, authenticator);
      const limit = limitOf(request.query as Record<string, unknown>);
      if (changes === null) throw new Problem('history-unavailable', 'This region runs without a database, so that nothing is recorded.');
      const found = await within(runtime.timers, limits.answerMsMax, changes(document, limit));
      return {
        document,
        changes: found.map(({ at, ...change }) => ({ at: new Date(at).toISOString(), ...change })),
        problems: plane.problems(document),
      };
    },
  });
}

function limitOf({ limit }: Record<string, unknown>): number {
  if (limit === undefined) return LIMIT_DEFAULT;
  const number = typeof limit === 'string' && /^\d{1,4}$/.test(limit) ? Number(limit) : 0;
  if (number < 1 || number > LIMIT_MAX) throw new Problem('malformed', `limit is a whole number from 1 to ${LIMIT_MAX}.`);
  return number;
}

const value = (description: string) => Type.Unknown({ description });
const Change = Type.Object({
  id: Type.String(),
  at: Type.String({ format: 'date-time' }),
  region: Type.String({ description: 'the region that took the change' }),
  document: Type.String(),
  by: Type.String({ description: 'the claim sub of the moderator; anybody where no tokens are used' }),
  path: Type.String({ description: 'section/key, such as palette/heart' }),
  before: value('what stood there; null where nothing did'),
  after: value('what stands there; null where nothing does'),
});
const Answer = Type.Object({
  document: Type.String(),
  changes: Type.Array(Change, { description: 'newest first' }),
  problems: PolicyProblems,
});

const documentation = {
  ...documentRoute,
  summary: 'Who changed what of a policy',
  description: 'Needs the role moderator or admin where tokens are used. The document itself is reached over a WebSocket on /control/{document}.',
  querystring: Type.Object({ limit: Type.Optional(Type.Integer({ minimum: 1, maximum: LIMIT_MAX, default: LIMIT_DEFAULT })) }),
  response: { 200: { description: 'The changes', content: { 'application/json': { schema: Answer } } }, ...problemAnswers(400, 401, 403, 503) },
};
