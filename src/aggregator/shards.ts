/** Which shard of a region owns a stream. */

import { hashText } from '../../crdt/digest.ts';
import type { StreamId } from '../../crdt/ids.ts';

const SHARD_SEED = 0x51ed270b;

export function shardOf(stream: StreamId, shardCount: number): number {
  return (hashText(stream, SHARD_SEED) >>> 0) % shardCount;
}
