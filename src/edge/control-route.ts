/** `GET /control/{document}/changes`: who changed what of a policy, and what of it is not heard. */

import { Type } from 'typebox';
import type { FastifyInstance } from 'fastify';
import type { Authenticator } from './auth.ts';
import { PolicyProblems, documentOf, documentRoute } from './document-param.ts';
import { limitParam } from './limit-param.ts';
import type { EdgeControl, EdgeLimits, EdgeOptions } from './options.ts';
import { Problem, within } from './problem.ts';
import { problemAnswers } from './schemas.ts';

const LIMIT = limitParam(1_000);

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
      const limit = LIMIT.of(request.query);
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
  querystring: Type.Object({ limit: LIMIT.schema }),
  response: { 200: { description: 'The changes', content: { 'application/json': { schema: Answer } } }, ...problemAnswers(400, 401, 403, 503) },
};
