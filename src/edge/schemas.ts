/**
 * The shapes of the HTTP API, as JSON Schema, for `/docs` and for the check of reactions.
 *
 * Path and query parameters are checked by the code that reads them, which says better what is wrong.
 */

import { Type } from 'typebox';
import { isId, type StreamId } from '../../crdt/ids.ts';
import { REASONS } from '../antispam/suspicion.ts';
import { TIMESTAMP_MAX } from '../protocol/message-rules.ts';
import { REACTIONS_PER_BATCH_MAX, TAPS_PER_REACTION_MAX, VIA_MAX } from '../protocol/messages.ts';
import { PROBLEM_MEDIA_TYPE } from '../protocol/problems.ts';
import { Problem } from './problem.ts';

const ID_PATTERN = '^[A-Za-z0-9_-]{1,64}$';
/** Reactions in one POST at most. */
export const REACTIONS_PER_POST_MAX = 100;

const strict = { additionalProperties: false } as const;
const id = (description: string) => Type.String({ pattern: ID_PATTERN, description });
const count = (description: string) => Type.Integer({ minimum: 0, description });

export const StreamParams = Type.Object({ id: id('stream id') });

/** The stream that a request's path names. @throws Problem malformed */
export function streamOf({ params }: { readonly params: unknown }): StreamId {
  const stream = (params as { readonly id?: unknown }).id;
  if (!isId(stream)) throw new Problem('malformed', 'A stream id must match [A-Za-z0-9_-]{1,64}.');
  return stream as StreamId;
}

const taps = Type.Integer({
  minimum: 1,
  maximum: TAPS_PER_REACTION_MAX,
  description: 'taps since the last reaction of this session',
});

export const ReactionSchema = Type.Object(
  {
    stream_id: id('what is reacted to'),
    viewer_id: Type.String({ pattern: '^[\\x21-\\x7e]{1,128}$', description: 'who reacts; the claim sub of the token' }),
    device_id: Type.Optional(
      Type.String({ pattern: '^[\\x21-\\x7e]{1,128}$', description: 'what the app calls the viewer’s device; the claim device of the token wins' }),
    ),
    emoji_id: Type.Optional(id('what it is reacted with')),
    count_since_last: Type.Optional(taps),
    reactions: Type.Optional(
      Type.Array(Type.Object({ emoji_id: id('emoji'), count_since_last: taps }, strict), {
        minItems: 1,
        maxItems: REACTIONS_PER_BATCH_MAX,
        description: 'several emoji at once, instead of emoji_id and count_since_last',
      }),
    ),
    timestamp: Type.Union([
      Type.Number({ minimum: 0, maximum: TIMESTAMP_MAX, description: 'milliseconds since the epoch' }),
      Type.String({ format: 'date-time', maxLength: 40, description: 'ISO 8601' }),
    ]),
    session_id: Type.Optional(id('one run of a client; with seq, the reaction may be sent again and counts once')),
    seq: Type.Optional(
      Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER, description: 'number within the session, from 1' }),
    ),
    via: Type.Optional(
      Type.Array(id('region'), {
        minItems: 1,
        maxItems: VIA_MAX,
        description: 'regions that may have received it before, in the order of its sendings: the region that counts it settles with them that it counts once',
      }),
    ),
  },
  {
    ...strict,
    description: 'One viewer’s taps. Without session_id and seq every POST counts.',
  },
);

export const ReactionsBody = Type.Union([
  ReactionSchema,
  Type.Array(ReactionSchema, { minItems: 1, maxItems: REACTIONS_PER_POST_MAX }),
]);

export const PostParams = Type.Object({
  region: Type.Optional(id('refuse the reactions unless this region answers: for resends, which belong where they were sent first')),
});

const ProblemSchema = Type.Object(
  {
    type: Type.String({ description: 'urn:ovation:problem:<name>' }),
    title: Type.String(),
    status: Type.Integer(),
    detail: Type.Optional(Type.String({ description: 'what is wrong and what to do' })),
    retry_after_ms: Type.Optional(count('after so many milliseconds the same may be sent again; there when that can help')),
  },
  { description: 'RFC 9457 problem document' },
);

const ResultSchema = Type.Object({
  seq: Type.Union([Type.Integer(), Type.Null()]),
  accepted: count('taps that count'),
  clamped: count('taps beyond the viewer’s limits, which do not count'),
  duplicate: Type.Boolean({ description: 'an earlier delivery was counted; the figures are of that one' }),
});

export const ReactionsAnswer = Type.Union([
  ResultSchema,
  Type.Object({
    results: Type.Array(
      Type.Union([
        ResultSchema,
        Type.Object({ seq: Type.Union([Type.Integer(), Type.Null()]), problem: ProblemSchema }),
      ]),
    ),
  }),
]);

const perEmoji = (description: string) => Type.Record(Type.String(), Type.Number(), { description });

export const TotalsAnswer = Type.Object({
  stream_id: Type.String(),
  region: Type.String({ description: 'the region that answers' }),
  at: Type.Integer({ description: 'milliseconds since the epoch' }),
  palette: Type.Record(Type.String(), Type.String(), { description: 'emoji id → glyph, in the order to show' }),
  level: Type.String({ enum: ['exact', 'relaxed', 'hearts', 'static'] }),
  totals: perEmoji('converged count of each emoji'),
  rates: perEmoji('smoothed reactions per second; zero when absent'),
  viewers: count('watching now, in all regions as far as known'),
  staleness: Type.Record(Type.String(), Type.Union([Type.Integer(), Type.Null()]), {
    description: 'region → milliseconds since its last word; null when it never spoke',
  }),
  corrected: Type.Optional(count('taps of all emoji that were counted and taken back again; zero when absent')),
});

const BookEntrySchema = Type.Object({
  actor: Type.String({ description: 'region/shard/epoch' }),
  emoji_id: Type.String(),
  increments: count('taps counted'),
  decrements: count('taps taken back'),
});

export const AuditAnswer = Type.Object({
  stream_id: Type.String(),
  region: Type.String({ description: 'the region whose books these are' }),
  digest: Type.String({ description: 'equal on regions that hold the same entries' }),
  actor: Type.String({ description: 'the actor that this region’s shard writes as now' }),
  actors: Type.Optional(Type.Array(Type.String(), { description: 'those of all its shards that count the stream, when several do' })),
  acknowledged: count('taps acknowledged as accepted by the current actors, counted apart from the ledger'),
  claims_in_doubt: count('batches of any stream that moved between regions and may count twice, since this process began'),
  counted: count('increments of the current actors in the ledger'),
  entries: Type.Array(BookEntrySchema),
  stored: Type.Union([Type.Array(BookEntrySchema), Type.Null()], { description: 'the same from the database' }),
  stored_reason: Type.Union([Type.String(), Type.Null()], { description: 'why stored is null' }),
  peers: Type.Any({ description: 'what this region knows of its peers' }),
});

export const FlaggedAnswer = Type.Object({
  stream_id: Type.String(),
  region: Type.String({ description: 'the region that suspects; each judges its own viewers' }),
  cell_ms: count('length of a cell'),
  interval_classes_ms: Type.Array(count('upper end of a class of intervals; one class more has none')),
  viewers: Type.Array(
    Type.Object({
      viewer_id: Type.String(),
      device_id: Type.Union([Type.String(), Type.Null()]),
      standing: Type.String({ enum: ['flag', 'shadow', 'forgiven'], description: 'flag: counted; shadow: acknowledged as clamped and not counted; forgiven: counted again' }),
      score: Type.Number({ description: '0 to 127; flagged from 45, shadowed from 70' }),
      reasons: Type.Array(Type.String({ enum: [...REASONS] })),
      since: count('when the standing began, milliseconds since the epoch'),
      last_at: count('when the viewer was judged last'),
      samples: count('batches since the viewer was flagged'),
      taps_per_second: Type.Number(),
      shadowed_taps: count('taps that did not count for this'),
      cells: Type.Array(count('taps in a cell'), { description: 'the last cells, oldest first' }),
      intervals: Type.Array(count('intervals between batches in a class')),
    }),
  ),
});

export const HistoryParams = Type.Object({
  from: Type.Optional(Type.String({ description: 'ISO 8601 or epoch milliseconds, inclusive; default: two minutes before to' })),
  to: Type.Optional(Type.String({ description: 'ISO 8601 or epoch milliseconds, exclusive; default: now' })),
  step: Type.Optional(Type.String({ enum: ['1s', '10s', '1m', '1h'] })),
  emoji_id: Type.Optional(id('only this emoji')),
  format: Type.Optional(Type.String({ enum: ['json', 'csv'], description: 'overrules the Accept header' })),
});

export const HistoryAnswer = Type.Object({
  stream_id: Type.String(),
  from: Type.String(),
  to: Type.String(),
  step: Type.String(),
  points: Type.Array(
    Type.Object({
      emoji_id: Type.String(),
      window_start: Type.String({ description: 'ISO 8601' }),
      count: Type.Integer({ description: 'net of retractions' }),
      normalized_rate: Type.Union([Type.Number(), Type.Null()], {
        description: 'reactions per second per viewer watching; null when nobody was',
      }),
    }),
  ),
});

/** The refusals of a route, for its documentation. */
export function problemAnswers(...statuses: readonly number[]): Record<number, object> {
  const answer = { description: 'Problem', content: { [PROBLEM_MEDIA_TYPE]: { schema: ProblemSchema } } };
  return Object.fromEntries(statuses.map((status) => [status, answer]));
}
