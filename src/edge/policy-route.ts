/** `GET /control/{document}/policy`: what is in force in this region, from file, global document and stream's document together. */

import { Type } from 'typebox';
import type { FastifyInstance } from 'fastify';
import type { StreamId } from '../../crdt/ids.ts';
import type { Mute } from '../moderation/policy.ts';
import type { Authenticator } from './auth.ts';
import { PolicyProblems, documentOf, documentRoute } from './document-param.ts';
import type { EdgeControl, EdgeOptions } from './options.ts';
import { problemAnswers } from './schemas.ts';

/** Of the policy of all streams: a stream that no document and no file names. */
const ANY_STREAM = '' as StreamId;

export function policyRoute(app: FastifyInstance, { region }: EdgeOptions, { plane }: EdgeControl, authenticator: Authenticator): void {
  app.route({
    method: 'GET',
    url: '/control/:document/policy',
    schema: documentation,
    async handler(request) {
      const { document, stream } = await documentOf(request, authenticator);
      const { palette, limits, state, endedAt, level, spread, mutedViewers, mutedDevices } = plane.policyOf(stream ?? ANY_STREAM);
      return {
        document,
        region,
        palette: Object.fromEntries(palette),
        limits,
        state,
        ended_at: endedAt,
        level,
        spread,
        mutes: [...mutesOf('viewer', mutedViewers), ...mutesOf('device', mutedDevices)],
        problems: plane.problems(document),
      };
    },
  });
}

function mutesOf(kind: 'viewer' | 'device', mutes: ReadonlyMap<string, Mute>): object[] {
  return Array.from(mutes, ([id, { until, by, reason, retractFrom, at, liftedAt }]) => ({
    kind,
    id,
    until,
    by,
    reason,
    retract_from: retractFrom,
    at,
    lifted_at: liftedAt,
  }));
}

const time = (description: string) => Type.Union([Type.Number(), Type.Null()], { description: `${description}, milliseconds since the epoch` });
const Limit = Type.Object({ tapsPerSecondMax: Type.Number(), tapBurstMax: Type.Number() });
const Answer = Type.Object({
  document: Type.String(),
  region: Type.String({ description: 'the region that answers; others may not have heard yet' }),
  palette: Type.Record(Type.String(), Type.String(), { description: 'emoji id → glyph of those that may be tapped, in the order to show' }),
  limits: Type.Object({ viewer: Limit, device: Limit, address: Limit }),
  state: Type.String({ enum: ['live', 'draining', 'ended'] }),
  ended_at: time('when the stream ended'),
  level: Type.Union([Type.String(), Type.Null()], { description: 'the level that a moderator insists on' }),
  spread: Type.Integer(),
  mutes: Type.Array(
    Type.Object({
      kind: Type.String({ enum: ['viewer', 'device'] }),
      id: Type.String(),
      until: time('null for ever'),
      by: Type.String(),
      reason: Type.String(),
      retract_from: time('what was counted from then on is taken back'),
      at: time('when it was decided'),
      lifted_at: time('when it was taken back'),
    }),
  ),
  problems: PolicyProblems,
});

const documentation = {
  ...documentRoute,
  summary: 'What is in force',
  description: 'The policy as this region heeds it now. Needs the role moderator or admin where tokens are used.',
  response: { 200: { description: 'The policy', content: { 'application/json': { schema: Answer } } }, ...problemAnswers(400, 401, 403) },
};
