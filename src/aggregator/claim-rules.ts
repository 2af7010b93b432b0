/**
 * The rules of claims, on a shard's state: what is claimed of a batch, what becomes of a batch that another region
 * has claimed, and what a verdict takes back. Pure; they change only the state handed in, and whatever they answer is
 * true once that is durable [CLAIM-4].
 *
 * The sendings of one batch to different regions are ordered by their attempts. Who counted a later one gives back what an
 * earlier one counted, each time of the batch's first taps: so what is left over all regions is what the sending counted
 * that counted most, in whatever order this is heard [CLAIM-1].
 */

import type { Claim, Verdict } from '../../regions/claims.ts';
import { RESEND_MS_MAX } from '../protocol/messages.ts';
import { HELD_MS_MAX } from './claims-horizon.ts';
import type { Batch, Reaction } from './ingest.ts';
import { VOID } from './sessions.ts';
import type { ShardState } from './shard-state.ts';

const NO_RIVALS: readonly string[] = Object.freeze([]);

/** The regions that may have counted this batch before it came here. */
export function rivalsOf({ claims }: ShardState, { session, via }: Batch): readonly string[] {
  return session === null || via === undefined ? NO_RIVALS : claims.rivalsOf(via);
}

/** Claims a batch of which so many taps are counted now, in the commit that counts them [CLAIM-2]. */
export function claim({ claims }: ShardState, batch: Batch, accepted: number, rivals: readonly string[], now: number): void {
  const { stream, session, sequence, viewer, device, via } = batch;
  const reactions: Reaction[] = [];
  let left = accepted;
  let clamped = 0;
  for (const [emoji, taps] of batch.reactions) {
    const counted = Math.min(taps, left);
    if (counted > 0) reactions.push([emoji, counted]);
    left -= counted;
    clamped += taps - counted;
  }
  claims.add({ stream, session: session!, sequence, viewer, device, at: now, attempt: via!.length, reactions, clamped, rivals }, now);
}

/**
 * Another region has counted a batch, at `at`, that came by here: what became of it here. From now on it is not counted here, if
 * it was not before. Null when there is no room to remember that: to be asked again.
 */
export function judge({ counts, sessions }: ShardState, claim: Claim, at: number, now: number): Verdict | null {
  const { stream, session, sequence, attempt, clamped } = claim;
  const own = counts.find(stream) ?? counts.open(stream);
  if (own === undefined) return null;
  let slot = sessions.find(own.scope, session);
  const seen = slot < 0 ? 'new' : sessions.verdictOf(slot, sequence);
  const answer = (verdict: Verdict['verdict'], taps = 0): Verdict => ({ stream, session, sequence, verdict, clamped: taps });
  if (seen === 'stale') return answer('unknown');
  if (seen === 'duplicate') {
    const counted = sessions.attemptOf(slot, sequence);
    // Who counted a later sending has a claim of its own, and gives back itself.
    return counted === VOID || counted > attempt ? answer('keep') : answer('counted', sessions.clampedOf(slot, sequence));
  }
  // A word for the books: the claimant keeps what it counted either way. So two clocks may be compared here, and nowhere else.
  const isRecent = at - RESEND_MS_MAX > sessions.forgottenUntilMs && now - at < HELD_MS_MAX - RESEND_MS_MAX;
  const remembers = isRecent || (slot >= 0 && sessions.isCounted(slot));
  if (slot < 0 && !sessions.hasRoom(now)) return null;
  if (slot < 0) slot = sessions.open(own.scope, session, now);
  sessions.admit(slot, sequence, clamped, 0, now, VOID);
  return answer(remembers ? 'keep' : 'unknown');
}

/** A rival's verdict on a batch that was claimed here: gives back, once, what the rival counted with an earlier sending. */
export function settle(state: ShardState, from: string, verdict: Verdict, now: number): void {
  const { counts, contributions, corrections, claims } = state;
  claims.answer(from, verdict, now, ({ stream, viewer, device, at, reactions }, fromTap, toTap) => {
    const own = counts.find(stream);
    // Of a stream that is over nothing is counted any more, in either direction.
    if (own === undefined) return 0;
    counts.touch(own, now);
    let place = 0;
    let given = 0;
    for (const [emoji, taps] of reactions) {
      const due = Math.min(place + taps, toTap) - Math.max(place, fromTap);
      place += taps;
      if (due <= 0) continue;
      // What a moderator took back of it is no longer there to be given back. Of taps that were not noted, and of old ones, nobody knows that.
      const gift = { scope: own.scope, viewer, device, emoji: counts.numberOf(emoji), countedAt: at, taps: due };
      const taken = contributions.giveBack(gift, now) ?? due;
      if (taken === 0 || !counts.takeBack(own, emoji, taken)) continue;
      corrections.add(stream, emoji, at, taken);
      given += taken;
    }
    return given;
  });
}
