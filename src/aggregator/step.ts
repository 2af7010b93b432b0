/**
 * The step: state, batch and time → reply. Pure and deterministic; it changes only the state handed in.
 *
 * A resend gets the first answer, whatever has happened to the stream since; only a batch that was never
 * counted meets the policy [AGG-4]. What a batch changed is taken out of the state as rows and session
 * records, whole and absolute, and a reply is true only once these are durable: that is the loop's duty.
 */

import { WINDOW_MS, windowStartOf } from '../base/window.ts';
import { isInForce, type Policy } from '../moderation/policy.ts';
import { claim, rivalsOf } from './claim-rules.ts';
import { NOBODY } from './contributions.ts';
import type { Batch, IngestReply, Reaction } from './ingest.ts';
import type { OwnStream } from './own-counts.ts';
import type { ShardState } from './shard-state.ts';

const refused = (reason: 'stream-ended' | 'unknown-emoji' | 'stale-sequence' | 'overloaded'): IngestReply =>
  Object.freeze({ kind: 'refused', reason });
// What is remembered of a viewer in the judge's row: who that is among the contributors, two integers, and where the
// last taps were noted, in which second and of which emoji.
const CONTRIBUTOR = 0;
const CELL = 2;
const CELL_MARK = 3;
const ENDED = refused('stream-ended');
const UNKNOWN_EMOJI = refused('unknown-emoji');
const STALE = refused('stale-sequence');
const OVERLOADED = refused('overloaded');

/** `now` is the time of the commit to come: it never goes back. `guess` is any slot of a session or −1, best what `LookAhead` answers. */
export function step(state: ShardState, batch: Batch, policy: Policy, now: number, guess = -1): IngestReply {
  const { counts, sessions, judge } = state;
  const { stream, session, sequence, reactions } = batch;
  const found = counts.find(stream);
  let slot = found === undefined || session === null ? -1 : sessions.find(found.scope, session, guess);
  const verdict = slot < 0 ? 'new' : sessions.verdictOf(slot, sequence);
  const taps = tapsOf(reactions);
  if (verdict === 'duplicate') {
    const clamped = Math.min(taps, sessions.clampedOf(slot, sequence));
    return { kind: 'counted', accepted: taps - clamped, clamped, duplicate: true };
  }
  if (policy.state === 'ended') return ENDED;
  for (const reaction of reactions) if (!policy.palette.has(reaction[0])) return UNKNOWN_EMOJI;
  if (verdict === 'stale') return STALE;

  // Room for everything is made sure of before anything changes: a refused batch leaves no trace.
  const own = counts.open(stream, found);
  if (own === undefined || !counts.knows(reactions) || (session !== null && slot < 0 && !sessions.hasRoom(now))) return OVERLOADED;
  // Of a stream without past there is nothing to take back.
  if (found === undefined) own.checked = policy;
  else if (own.checked !== policy) state.checks.mark(own);
  const rivals = rivalsOf(state, batch);
  if (rivals.length > 0 && !state.claims.admits(own.scope, batch.viewer, now)) return OVERLOADED;
  let accepted = 0;
  let bucket = slot < 0 ? 0 : sessions.bucketOf(slot);
  if (!isMuted(policy, batch, now)) {
    bucket = judge.find(own.scope, batch.viewer, bucket, now);
    if (bucket < 0) return OVERLOADED;
    accepted = judge.judge(own.scope, bucket, batch, taps, policy.limits, now);
  }
  if (session !== null) {
    if (slot < 0) slot = sessions.open(own.scope, session, now);
    sessions.admit(slot, sequence, taps - accepted, bucket, now, batch.via?.length ?? 0);
  }
  if (accepted > 0) count(state, own, batch, accepted, bucket, now);
  if (rivals.length > 0) claim(state, batch, accepted, rivals, now);
  return { kind: 'counted', accepted, clamped: taps - accepted, duplicate: false };
}

/** What is muted is answered and not counted: `accepted` always means counted [AGG-35]. */
function isMuted({ mutedViewers, mutedDevices }: Policy, { viewer, device }: Batch, now: number): boolean {
  const viewerMute = mutedViewers.size === 0 ? undefined : mutedViewers.get(viewer);
  if (viewerMute !== undefined && isInForce(viewerMute, now)) return true;
  const deviceMute = mutedDevices.size === 0 || device === null ? undefined : mutedDevices.get(device);
  return deviceMute !== undefined && isInForce(deviceMute, now);
}

/** Counts the first `accepted` taps of a batch, and notes whose they are. */
function count({ counts, contributions, judge }: ShardState, own: OwnStream, batch: Batch, accepted: number, place: number, now: number): void {
  const { reactions } = batch;
  contributions.reserve(reactions.length, now);
  // The judge has just found the viewer's row: what is remembered there spares looking the viewer up once more.
  const { rows } = judge;
  const memo = judge.memoOf(place);
  const viewer = contributions.remembered(own.scope, batch.viewer, rows, memo + CONTRIBUTOR);
  const device = batch.device === null ? NOBODY : contributions.device(own.scope, batch.device, viewer);
  counts.touch(own, now);
  const second = windowStartOf(now) / WINDOW_MS;
  let left = accepted;
  // By index: an iterator is made for each batch otherwise.
  for (let index = 0; index < reactions.length && left > 0; index++) {
    const [emoji, taps] = reactions[index]!;
    const counted = Math.min(taps, left);
    left -= counted;
    const number = counts.add(own, emoji, counted);
    // The cell itself is far away in memory, so most that cannot be it are told from it here.
    const mark = (second << 16) | (number & 0xffff);
    const guess = rows[memo + CELL_MARK] === mark ? rows[memo + CELL]! - 1 : NOBODY;
    const cell = contributions.add(viewer, device, number, counted, now, guess, batch, own.scope);
    rows[memo + CELL_MARK] = mark;
    rows[memo + CELL] = cell + 1;
  }
}

function tapsOf(reactions: readonly Reaction[]): number {
  let taps = 0;
  for (const reaction of reactions) taps += reaction[1];
  return taps;
}
