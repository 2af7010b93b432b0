/** `GET /streams/{id}/reactions/history`: the stored windows, as JSON or CSV. */

import type { FastifyInstance } from 'fastify';
import { historyCsv, historyDocument, parseHistoryQuery } from '../analytics/history.ts';
import { requireReader, type Authenticator } from './auth.ts';
import type { EdgeLimits, EdgeOptions } from './options.ts';
import { Problem, within } from './problem.ts';
import { HistoryAnswer, HistoryParams, StreamParams, problemAnswers, streamOf } from './schemas.ts';

export function historyRoute(
  app: FastifyInstance,
  { history, runtime }: EdgeOptions,
  limits: EdgeLimits,
  authenticator: Authenticator,
): void {
  app.route({
    method: 'GET',
    url: '/streams/:id/reactions/history',
    schema: documentation,
    async handler(request, reply) {
      const stream = streamOf(request);
      await requireReader(authenticator, request.headers.authorization, stream);
      const parameters = request.query as Record<string, unknown>;
      const { query, format } = parseHistoryQuery(stream, parameters, runtime.clock.now());
      if (history === null) throw new Problem('history-unavailable', 'This region runs without a database of windows.');
      const points = await within(runtime.timers, limits.answerMsMax, history(query));
      reply.header('vary', 'accept');
      const isCsv = format === 'csv' || (format === undefined && /\btext\/csv\b/i.test(request.headers.accept ?? ''));
      if (isCsv) return reply.type('text/csv; charset=utf-8; header=present').send(historyCsv(query, points));
      return historyDocument(query, points);
    },
  });
}

const documentation = {
  tags: ['reading'],
  summary: 'Reactions over time',
  description: 'Windows as stored, a few seconds behind. Complete or refused, never cut. Needs the role moderator or admin where tokens are used.',
  security: [{}, { token: [] }],
  params: StreamParams,
  querystring: HistoryParams,
  response: {
    200: {
      description: 'The points, oldest first',
      content: { 'application/json': { schema: HistoryAnswer }, 'text/csv': { schema: { type: 'string' } } },
    },
    ...problemAnswers(400, 401, 403, 503),
  },
};
