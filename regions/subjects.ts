/**
 * The keys of a region's log: which message is which row or document.
 *
 * `row.<shard>.<epoch>.<stream>` is a row of the region's own actors, `heartbeat` its writer's word,
 * `custody.<region>.<shard>.<epoch>.<stream>` a row that it keeps for a peer that lost it, `doc.<key>`
 * a document, of a kind that may be unknown here. Pure. Only the canonical spelling of a key is
 * understood, so that no row can exist under two keys.
 */

import { actorId, parseActorId, type ActorId } from '../crdt/actor.ts';
import { MalformedId, parseStreamId, type StreamId } from '../crdt/ids.ts';
import type { RowId } from '../crdt/ledger.ts';
import { isDocumentKey } from './documents.ts';

export const HEARTBEAT_KEY = 'heartbeat';
const DOCUMENT_PREFIX = 'doc.';

export type LogKey =
  | { readonly kind: 'heartbeat' }
  | { readonly kind: 'document'; readonly key: string }
  | { readonly kind: 'row' | 'custody'; readonly stream: StreamId; readonly actor: ActorId };

export function rowKey({ stream, actor }: RowId): string {
  const { shard, epoch } = parseActorId(actor);
  return `row.${shard}.${epoch}.${stream}`;
}

export function custodyKey({ stream, actor }: RowId): string {
  const { region, shard, epoch } = parseActorId(actor);
  return `custody.${region}.${shard}.${epoch}.${stream}`;
}

export function documentKey(key: string): string {
  return DOCUMENT_PREFIX + key;
}

/** What a key of the region's log means; null when it is none of ours. Never throws. */
export function parseKey(region: string, key: string): LogKey | null {
  if (key === HEARTBEAT_KEY) return { kind: 'heartbeat' };
  if (key.startsWith(DOCUMENT_PREFIX)) {
    const document = key.slice(DOCUMENT_PREFIX.length);
    return isDocumentKey(document) ? { kind: 'document', key: document } : null;
  }
  const tokens = key.split('.');
  if (tokens[0] === 'row' && tokens.length === 4) return rowOf('row', [region, ...tokens.slice(1)]);
  if (tokens[0] === 'custody' && tokens.length === 5) return rowOf('custody', tokens.slice(1));
  return null;
}

/** The grammar of actors is not repeated here: an actor id refuses whatever is not canonical. */
function rowOf(kind: 'row' | 'custody', [region, shard, epoch, stream]: readonly (string | undefined)[]): LogKey | null {
  try {
    return { kind, stream: parseStreamId(stream), actor: actorId(parseActorId(`${region}/${shard}/${epoch}`)) };
  } catch (error) {
    if (error instanceof MalformedId) return null;
    throw error;
  }
}
