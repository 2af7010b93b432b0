/** `GET /streams/{id}/flagged`: whom this region takes for a program on a stream, and why. For moderators. */

import type { FastifyInstance } from 'fastify';
import { INTERVAL_CLASSES_MS, type FlaggedViewer } from '../antispam/flagged.ts';
import { CELL_MS } from '../antispam/rhythm.ts';
import { requireReader, type Authenticator } from './auth.ts';
import type { EdgeLimits, EdgeOptions } from './options.ts';
import { within } from './problem.ts';
import { FlaggedAnswer, StreamParams, problemAnswers, streamOf } from './schemas.ts';

export function flaggedRoute(app: FastifyInstance, options: EdgeOptions, limits: EdgeLimits, authenticator: Authenticator): void {
  const { flagged = () => Promise.resolve([]), runtime } = options;

  app.route({
    method: 'GET',
    url: '/streams/:id/flagged',
    schema: documentation,
    async handler(request) {
      const stream = streamOf(request);
      await requireReader(authenticator, request.headers.authorization, stream);
      const viewers = await within(runtime.timers, limits.answerMsMax, flagged(stream));
      return {
        stream_id: stream,
        region: options.region,
        cell_ms: CELL_MS,
        interval_classes_ms: INTERVAL_CLASSES_MS,
        viewers: viewers.map(inSnakeCase),
      };
    },
  });
}

function inSnakeCase(flagged: FlaggedViewer): object {
  const { viewer, device, standing, score, reasons, since, samples, cells, intervals } = flagged;
  return {
    viewer_id: viewer,
    device_id: device,
    standing,
    score,
    reasons,
    since,
    last_at: flagged.lastAt,
    samples,
    taps_per_second: flagged.tapsPerSecond,
    shadowed_taps: flagged.shadowedTaps,
    cells,
    intervals,
  };
}

const documentation = {
  tags: ['reading'],
  summary: 'Flagged viewers',
  description:
    'Up to a hundred viewers of the stream whom this region suspects to be programs, the most suspicious first, with the evidence. Needs the role moderator or admin where tokens are used.',
  security: [{}, { token: [] }],
  params: StreamParams,
  response: { 200: FlaggedAnswer, ...problemAnswers(400, 401, 403, 503) },
};
