/**
 * The truth: what must have been counted, told from what viewers sent and were answered and what moderators
 * decided, and never from what the code under test remembers.
 *
 * Of each batch it says between which numbers its taps may stand in the totals. They differ only where nobody can
 * know better: of a batch that was never answered, of taps counted within the second in which a mute ended, and of
 * what a region had not told anybody when it lost its disk.
 */

import type { SentBatch } from './clients.ts';
import type { Decided } from './moderators.ts';

export interface Range {
  low: number;
  high: number;
}

export interface Doubts {
  /** Regions whose notes of who tapped what are not complete any more. */
  readonly forgetful: ReadonlySet<string>;
  /** Regions that lost what they had acknowledged. */
  readonly lossy: ReadonlySet<string>;
}

/** Between which numbers the totals of `stream emoji` must lie. */
export function truthOf(batches: Iterable<SentBatch>, decisionsOn: (batch: SentBatch) => readonly Decided[], doubts: Doubts): Map<string, Range> {
  const truth = new Map<string, Range>();
  for (const batch of batches) {
    const decisions = decisionsOn(batch);
    for (const [emoji, low, high] of countedOf(batch, doubts)) {
      const key = `${batch.client.stream} ${emoji}`;
      let range = truth.get(key);
      if (range === undefined) truth.set(key, (range = { low: 0, high: 0 }));
      const left = leftOf({ low, high }, batch, decisions, doubts);
      range.low += left.low;
      range.high += left.high;
    }
  }
  return truth;
}

function* countedOf(batch: SentBatch, { lossy }: Doubts): Generator<readonly [emoji: string, low: number, high: number]> {
  const { state, accepted, reactions, reached, mayCount, lost } = batch;
  let left = accepted;
  for (const [emoji, taps] of reactions) {
    // A region that has lost its memory knows nothing of claims on what it had counted.
    const isForgotten = lost || (reached.size > 1 && [...reached].some((region) => lossy.has(region)));
    if (isForgotten) yield [emoji, 0, Math.max(2, reached.size) * taps];
    else if (state === 'counted') {
      const counted = Math.min(taps, left);
      left -= counted;
      // Of several regions that counted it, that one's figure stands that counted most.
      yield [emoji, counted, reached.size > 1 ? taps : counted];
    } else if (state === 'refused' ? mayCount || reached.size > 1 : reached.size > 0) yield [emoji, 0, taps];
    else yield [emoji, 0, 0];
  }
}

/** Of several decisions each may take back what is left by the others. */
function leftOf(counted: Range, batch: SentBatch, decisions: readonly Decided[], doubts: Doubts): Range {
  let left = counted;
  for (const decided of decisions) {
    const { low, high } = leftByOne(counted, batch, decided, decisions.length === 1, doubts);
    left = { low: Math.min(left.low, low), high: Math.min(left.high, high) };
  }
  return left;
}

/** `isOnly`: nothing else was decided about its viewer, so that what a process has heard is of this decision. */
function leftByOne(counted: Range, batch: SentBatch, decided: Decided, isOnly: boolean, { forgetful, lossy }: Doubts): Range {
  if (decided.retractFrom === null || counted.high === 0) return counted;
  // Put back to an older state, a region takes back again what it has forgotten that it took back.
  if ([...batch.reached].some((region) => lossy.has(region))) return { low: -counted.high, high: counted.high };
  const end = secondOf(decided.endsAt);
  const from = secondOf(decided.retractFrom);
  if (secondOf(latestOf(batch)) < from) return counted;
  // A process that hears of the mute alone, and of its end later, takes back what was counted after the end as well.
  if (secondOf(batch.earliestAt) > end && decided.isWhole) return counted;
  if (secondOf(batch.earliestAt) > end) {
    return isOnly && batch.heardEnd?.process.alive === true && batch.reached.size === 1 ? counted : { low: 0, high: counted.high };
  }
  const isForgotten = [...batch.reached].some((region) => forgetful.has(region));
  if (!isForgotten && secondOf(batch.earliestAt) >= from && secondOf(latestOf(batch)) < end) return { low: 0, high: 0 };
  return { low: 0, high: counted.high };
}

/** The latest time, by a region's clock, at which it can have been counted. */
function latestOf({ answeredAt, offsetMax, reached }: SentBatch): number {
  // Of several regions that counted it, that one's counting may stand which did so last, and answered nobody.
  return reached.size > 1 ? Infinity : answeredAt + offsetMax;
}

function secondOf(timeMs: number): number {
  return Math.floor(timeMs / 1000);
}
