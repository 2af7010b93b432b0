/** One posted reaction, from what a body held to a batch. Strict; says in words what is wrong. Pure. */

import type { Static } from 'typebox';
import { Compile } from 'typebox/compile';
import type { EmojiId, StreamId } from '../../crdt/ids.ts';
import { isId } from '../../crdt/ids.ts';
import type { Batch, Reaction } from '../aggregator/ingest.ts';
import { isTimestamp, isVia } from '../protocol/message-rules.ts';
import { Problem } from './problem.ts';
import { ReactionSchema } from './schemas.ts';

type ReactionPayload = Static<typeof ReactionSchema>;

const validator = Compile(ReactionSchema);

/** `address` is the network that it came from. @throws Problem invalid-batch */
export function batchOf(value: unknown, address: string | null): Batch {
  // What a viewer's client sends again must mean the same again, so nothing is repaired or guessed.
  if (!validator.Check(value)) throw new Problem('invalid-batch', explain(value));
  const payload: ReactionPayload = value;
  if ((payload.session_id === undefined) !== (payload.seq === undefined)) {
    throw new Problem('invalid-batch', 'Give session_id and seq together, or neither: then every POST counts.');
  }
  // To a schema −0 is no less than 0.
  if (typeof payload.timestamp === 'number' && !isTimestamp(payload.timestamp)) {
    throw new Problem('invalid-batch', 'Give timestamp in milliseconds since the epoch, or as ISO 8601.');
  }
  const { via } = payload;
  if (via !== undefined && (payload.session_id === undefined || !isVia(via))) {
    throw new Problem('invalid-batch', 'Give via with session_id and seq, and no region twice in a row.');
  }
  const reactions = reactionsOf(payload);
  const names = [payload.stream_id, ...(payload.session_id === undefined ? [] : [payload.session_id])];
  for (const name of [...names, ...reactions.map(([emoji]) => emoji)]) {
    if (!isId(name)) throw new Problem('invalid-batch', `${name} cannot be used as an id.`);
  }
  return {
    stream: payload.stream_id as StreamId,
    viewer: payload.viewer_id,
    device: payload.device_id ?? null,
    address,
    session: payload.session_id ?? null,
    sequence: payload.seq ?? 0,
    reactions,
    ...(via === undefined ? {} : { via }),
  };
}

function reactionsOf({ emoji_id, count_since_last, reactions }: ReactionPayload): Reaction[] {
  if (reactions === undefined) {
    if (emoji_id === undefined || count_since_last === undefined) {
      throw new Problem('invalid-batch', 'Give emoji_id and count_since_last, or a list "reactions" of both.');
    }
    return [[emoji_id as EmojiId, count_since_last]];
  }
  if (emoji_id !== undefined || count_since_last !== undefined) {
    throw new Problem('invalid-batch', 'Give either "reactions" or emoji_id and count_since_last, not both.');
  }
  if (new Set(reactions.map((reaction) => reaction.emoji_id)).size !== reactions.length) {
    throw new Problem('invalid-batch', 'Name each emoji once; add up its taps.');
  }
  return reactions.map((reaction) => [reaction.emoji_id as EmojiId, reaction.count_since_last]);
}

/** The first thing that is wrong, with its place. */
function explain(value: unknown): string {
  const [error] = validator.Errors(value);
  if (error === undefined) return 'The reaction does not follow the schema at /docs.';
  // A field that is too much is told by its name, which stands in the path.
  const what = error.keyword === 'boolean' ? 'is an unknown field' : error.message;
  return `${error.instancePath === '' ? 'The reaction' : error.instancePath.slice(0, 80)} ${what}. See /docs.`;
}
