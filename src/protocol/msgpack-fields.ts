/**
 * What the elements of a server's msgpack message mean, by position. Apart from the codec because players
 * read messages with a smaller reader than regions do.
 */

import { LEVELS_IN_ORDER, MalformedMessage, expect } from './message-rules.ts';
import type { FrameMessage, ServerMessage } from './messages.ts';
import { serverMessageOf } from './server-messages.ts';

export const TYPE = { hello: 0, batch: 1, welcome: 2, ack: 3, error: 4, frame: 5, pace: 6, goaway: 7 } as const;
/** Rates travel as whole hundredths: 1 to 5 bytes instead of 9. */
export const RATE_UNITS = 100;
export const FIELDS_PER_EMOJI = 4;

/** @throws MalformedMessage */
export function serverMessageOfFields(fields: unknown): ServerMessage {
  expect(Array.isArray(fields), 'a message is a msgpack array');
  const [type, a, b, c, d, e, f, g] = fields as unknown[];
  switch (type) {
    case TYPE.ack:
      return serverMessageOf({ type: 'ack', seq: a, accepted: b, clamped: c, duplicate: d });
    case TYPE.frame:
      return serverMessageOf({
        ...emojiMaps(e),
        type: 'frame',
        region: a,
        at: b,
        level: levelOf(c),
        viewers: d,
        staleness: f,
        corrected: g,
      });
    case TYPE.welcome:
      return serverMessageOf({ type: 'welcome', region: a, palette: b, batch_ms: c, frame_ms: d, totals: e });
    case TYPE.error:
      return serverMessageOf({
        type: 'error',
        seq: a,
        code: b,
        message: c,
        temporary: d,
        retry_after_ms: e ?? undefined,
      });
    case TYPE.pace:
      return serverMessageOf({ type: 'pace', batch_ms: a, level: levelOf(b), palette: c });
    case TYPE.goaway:
      return serverMessageOf({ type: 'goaway', retry_after_ms: a });
    default:
      throw new MalformedMessage('an unknown type of message');
  }
}

/** Undoes `frameFields`: what is zero is left out of rates and hints, as in every frame. */
function emojiMaps(entries: unknown): Record<'totals' | 'rates' | 'hints', Record<string, unknown>> {
  expect(Array.isArray(entries) && entries.length % FIELDS_PER_EMOJI === 0, 'the entries of a frame come in fours');
  const maps: Record<'totals' | 'rates' | 'hints', Record<string, unknown>> = { totals: {}, rates: {}, hints: {} };
  const list = entries as unknown[];
  for (let index = 0; index < list.length; index += FIELDS_PER_EMOJI) {
    const emoji = list[index];
    const rate = list[index + 2];
    // Other keys than texts would be refused anyway, but not before they were keys.
    expect(typeof emoji === 'string' && emoji !== '__proto__' && typeof rate === 'number', 'not an entry of a frame');
    maps.totals[emoji] = list[index + 1];
    if (rate !== 0) maps.rates[emoji] = rate / RATE_UNITS;
    if (list[index + 3] !== 0) maps.hints[emoji] = list[index + 3];
  }
  return maps;
}

function levelOf(index: unknown): FrameMessage['level'] | undefined {
  return typeof index === 'number' ? LEVELS_IN_ORDER[index] : undefined;
}
