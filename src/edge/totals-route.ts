/** `GET /streams/{id}/reactions`: the converged totals now. */

import type { FastifyInstance } from 'fastify';
import { frameMessageOf } from './frame-message.ts';
import type { EdgeLimits, EdgeOptions } from './options.ts';
import { Problem, within } from './problem.ts';
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
      const policy = policyOf(stream);
      if (policy.state === 'ended' && Object.values(totals).every((total) => total === 0)) {
        throw new Problem('stream-ended', 'Live totals of this stream are no longer kept; its history is.');
      }
      const palette = Object.fromEntries(policy.palette);
      return { stream_id: stream, region, at, palette, level, totals, rates, viewers, staleness, ...(corrected === undefined ? {} : { corrected }) };
    },
  });
}

const documentation = {
  tags: ['reading'],
  summary: 'Totals now',
  description: 'Of a stream that nobody has reacted to, all totals are zero. Once the stream has ended they are kept for ten minutes, then the answer is 410. For a player, open a WebSocket on the same path.',
  params: StreamParams,
  response: { 200: TotalsAnswer, ...problemAnswers(400, 410, 503) },
};
