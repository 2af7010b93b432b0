/** `GET /streams/{id}/reactions`: the converged totals now. */

import type { FastifyInstance } from 'fastify';
import { frameMessageOf } from './frame-message.ts';
import type { EdgeLimits, EdgeOptions } from './options.ts';
import { within } from './problem.ts';
import { StreamParams, TotalsAnswer, problemAnswers, streamOf } from './schemas.ts';

export function totalsRoute(app: FastifyInstance, { feed, policyOf, runtime }: EdgeOptions, limits: EdgeLimits): void {
  app.route({
    method: 'GET',
    url: '/streams/:id/reactions',
    schema: documentation,
    async handler(request) {
      const stream = streamOf(request);
      const frame = frameMessageOf(await within(runtime.timers, limits.answerMsMax, feed.read(stream)));
      const { region, at, level, totals, rates, viewers, staleness, corrected } = frame;
      const palette = Object.fromEntries(policyOf(stream).palette);
      return { stream_id: stream, region, at, palette, level, totals, rates, viewers, staleness, ...(corrected === undefined ? {} : { corrected }) };
    },
  });
}

const documentation = {
  tags: ['reading'],
  summary: 'Totals now',
  description: 'Of a stream that nobody has reacted to, all totals are zero. For a player, open a WebSocket on the same path.',
  params: StreamParams,
  response: { 200: TotalsAnswer, ...problemAnswers(400, 503) },
};
