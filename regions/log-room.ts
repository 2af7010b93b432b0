/**
 * Room in a log: which messages one that is nearly full does not take. Pure; for adapters of the log port.
 *
 * A log that new keys could fill to the last byte would take no next version of the keys it has either, as versions grow:
 * the counts of all streams would stand still, and nobody could say so. So the last part is not for new keys.
 */

import type { LogAppend } from './log.ts';

/** Of a log's bytes, new keys may fill so many; what is left is for next versions, and for what uses the reserve. */
const NEW_KEYS_SHARE_MAX = 7 / 8;

export interface LogFill {
  readonly bytes: number;
  readonly bytesMax: number;
  has(key: string): boolean;
}

/** The keys that are new and would fill what is reserved. */
export function keysWithoutRoom(messages: readonly LogAppend[], log: LogFill, costOf: (message: LogAppend) => number): string[] {
  let { bytes } = log;
  const keys: string[] = [];
  for (const message of messages) {
    if (message.usesReserve === true || log.has(message.key)) continue;
    const cost = costOf(message);
    if (bytes + cost > NEW_KEYS_SHARE_MAX * log.bytesMax) keys.push(message.key);
    else bytes += cost;
  }
  return keys;
}
