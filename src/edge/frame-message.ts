/** A frame of the feed as the message that players receive. Pure. */

import type { Frame, Level } from '../broadcaster/frame-feed.ts';
import type { FrameMessage } from '../protocol/messages.ts';

/** How long clients collect taps into a batch, on each rung. */
export const BATCH_MS: { readonly [level in Level]: number } = { exact: 250, relaxed: 750, hearts: 1_000, static: 2_000 };
/** How often clients may expect a frame. */
export const FRAME_MS: { readonly [level in Level]: number } = { exact: 250, relaxed: 500, hearts: 750, static: 2_000 };

/** Rounded to what a player can show; what is zero is left out of rates and hints. */
export function frameMessageOf(frame: Frame): FrameMessage {
  const rates: Record<string, number> = {};
  const hints: Record<string, number> = {};
  const staleness: Record<string, number | null> = {};
  for (const emoji of Object.keys(frame.totals)) {
    const rate = Math.round((frame.rates[emoji] ?? 0) * 100) / 100;
    const hint = Math.round(frame.hints[emoji] ?? 0);
    if (rate > 0) rates[emoji] = rate;
    if (hint > 0) hints[emoji] = hint;
  }
  for (const [region, age] of Object.entries(frame.staleness)) {
    staleness[region] = age === null ? null : Math.max(0, Math.round(age));
  }
  return {
    type: 'frame',
    region: frame.region,
    at: Math.round(frame.at),
    level: frame.level,
    totals: frame.totals,
    rates,
    hints,
    viewers: frame.viewers,
    staleness,
    ...(frame.corrected === undefined ? {} : { corrected: frame.corrected }),
  };
}
