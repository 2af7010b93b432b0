/**
 * The step: state, batch and time → reply. Pure and deterministic; it changes only the state handed in.
 *
 * A resend gets the first answer, whatever has happened to the stream since; only a batch that was never
 * counted meets the policy [AGG-4]. What a batch changed is taken out of the state as rows and session
 * records, whole and absolute, and a reply is true only once these are durable: that is the loop's duty.
 */

import { isInForce, type Policy } from '../moderation/policy.ts';
import { claim, rivalsOf } from './claim-rules.ts';
import { NOBODY } from './contributions.ts';
import type { Batch, IngestReply, Reaction } from './ingest.ts';
import type { OwnStream } from './own-counts.ts';
import type { ShardState } from './shard-state.ts';

const refused = (reason: 'stream-ended' | 'unknown-emoji' | 'stale-sequence' | 'overloaded'): IngestReply =>
  Object.freeze({ kind: 'refused', reason });
const ENDED = refused('stream-ended');
const UNKNOWN_EMOJI = refused('unknown-emoji');
const STALE = refused('stale-sequence');
const OVERLOADED = refused('overloaded');

/** `now` is the time of the commit to come: it never goes back. */
export function step(state: ShardState, batch: Batch, policy: Policy, now: number): IngestReply {
  const { counts, sessions, judge } = state;
  const { stream, session, sequence, reactions } = batch;
  const found = counts.find(stream);
  let slot = found === undefined || session === null ? -1 : sessions.find(found.scope, session);
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
  const own = counts.open(stream);
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
  if (accepted > 0) count(state, own, batch, accepted, slot, now);
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
function count({ counts, contributions, sessions }: ShardState, own: OwnStream, batch: Batch, accepted: number, slot: number, now: number): void {
  const { reactions } = batch;
  contributions.reserve(reactions.length, now);
  const viewer = contributions.viewer(own.scope, batch.viewer, slot < 0 ? 0 : sessions.viewerOf(slot));
  const device = batch.device === null ? NOBODY : contributions.device(own.scope, batch.device, viewer);
  let cell = slot < 0 ? NOBODY : sessions.cellOf(slot);
  counts.touch(own, now);
  let left = accepted;
  for (const [emoji, taps] of reactions) {
    const counted = Math.min(taps, left);
    if (counted === 0) break;
    left -= counted;
    cell = contributions.add(viewer, device, counts.add(own, emoji, counted), counted, now, cell);
  }
  if (slot >= 0) sessions.remember(slot, viewer, cell);
}

function tapsOf(reactions: readonly Reaction[]): number {
  let taps = 0;
  for (const reaction of reactions) taps += reaction[1];
  return taps;
}
