/**
 * What a shard must do, said as simply as possible: maps of everything ever counted, nothing packed,
 * nothing forgotten. Slow and obviously right; the step is compared with it.
 */

import { WINDOW_BITS } from '../../crdt/sequence-window.ts';
import { windowStartOf } from '../../src/base/window.ts';
import type { Batch, IngestReply } from '../../src/aggregator/ingest.ts';
import type { Mute, Policy, PolicyOf } from '../../src/moderation/policy.ts';

const GRAINS_PER_TOKEN = 1000;

/** One counting of taps of one emoji. What a viewer taps of one emoji in one second, without another in between, goes together. */
interface Counting {
  readonly together: number;
  readonly stream: string;
  readonly viewer: string;
  readonly device: string | null;
  readonly emoji: string;
  readonly at: number;
  left: number;
}

export interface ModelState {
  /** `stream session` → sequence → taps of the batch that did not count. */
  readonly sessions: Map<string, Map<number, number>>;
  readonly countings: Counting[];
  /** `stream emoji` → taps. */
  readonly totals: Map<string, number>;
  /** `stream windowStart emoji` → taps. */
  readonly windows: Map<string, number>;
}

export class ShardModel {
  state: ModelState = { sessions: new Map(), countings: [], totals: new Map(), windows: new Map() };
  #committed: ModelState = structuredClone(this.state);
  #buckets = new Map<string, { grains: number; at: number }>();
  /** `stream viewer` → the last counting. */
  #last = new Map<string, Counting>();
  #countings = 0;

  commit(): void {
    this.#committed = structuredClone(this.state);
  }

  /** What was not committed is gone, and rate caps start anew. */
  crash(): void {
    this.state = structuredClone(this.#committed);
    this.#buckets = new Map();
    this.#last = new Map();
  }

  highest(stream: string, session: string): number {
    return Math.max(0, ...(this.state.sessions.get(`${stream} ${session}`)?.keys() ?? []));
  }

  submit(batch: Batch, policy: Policy, now: number): IngestReply {
    const { stream, session, sequence, reactions } = batch;
    const taps = reactions.reduce((sum, [, count]) => sum + count, 0);
    const admitted = session === null ? undefined : this.state.sessions.get(`${stream} ${session}`);
    const highest = session === null ? 0 : this.highest(stream, session);
    const stale = session !== null && sequence <= highest - WINDOW_BITS;
    const known = stale ? undefined : admitted?.get(sequence);
    if (known !== undefined) {
      const clamped = Math.min(taps, known);
      return { kind: 'counted', accepted: taps - clamped, clamped, duplicate: true };
    }
    if (policy.state === 'ended') return { kind: 'refused', reason: 'stream-ended' };
    if (reactions.some(([emoji]) => !policy.palette.has(emoji))) return { kind: 'refused', reason: 'unknown-emoji' };
    if (stale) return { kind: 'refused', reason: 'stale-sequence' };
    const isMuted = isInForce(policy.mutedViewers.get(batch.viewer), now) || isInForce(policy.mutedDevices.get(batch.device ?? ''), now);
    const accepted = isMuted ? 0 : this.#take(`${stream} ${batch.viewer}`, taps, policy, now);
    if (session !== null) {
      const sequences = admitted ?? new Map<number, number>();
      this.state.sessions.set(`${stream} ${session}`, sequences.set(sequence, taps - accepted));
    }
    let left = accepted;
    for (const [emoji, count] of reactions) {
      const counted = Math.min(left, count);
      left -= counted;
      if (counted === 0) continue;
      this.#note({ together: this.#countings++, stream, viewer: batch.viewer, device: batch.device, emoji, at: now, left: counted });
      this.#add(stream, emoji, now, counted);
    }
    return { kind: 'counted', accepted, clamped: taps - accepted, duplicate: false };
  }

  /**
   * Nothing is left of what the policy takes back. What goes together is taken back together: in the second in which the time
   * begins with what came before, in that in which it ends only when nothing of it was counted after the end.
   */
  retract(policyOf: PolicyOf): void {
    const { countings } = this.state;
    for (const one of countings) {
      const policy = policyOf(one.stream as Batch['stream']);
      const second = windowStartOf(one.at);
      const company = countings.filter(({ together }) => together === one.together);
      const lastAt = Math.max(...company.map(({ at }) => at));
      for (const { kind, id, from, to } of policy.retractions) {
        if (id !== (kind === 'viewer' ? one.viewer : one.device) || second < windowStartOf(from) || lastAt >= to) continue;
        this.#add(one.stream, one.emoji, one.at, -one.left);
        one.left = 0;
      }
    }
  }

  #note(counting: Counting): void {
    const key = `${counting.stream} ${counting.viewer}`;
    const last = this.#last.get(key);
    const isSame =
      last !== undefined &&
      last.device === counting.device &&
      last.emoji === counting.emoji &&
      windowStartOf(last.at) === windowStartOf(counting.at);
    const noted = isSame ? { ...counting, together: last.together } : counting;
    this.state.countings.push(noted);
    this.#last.set(key, noted);
  }

  #add(stream: string, emoji: string, at: number, amount: number): void {
    add(this.state.totals, `${stream} ${emoji}`, amount);
    add(this.state.windows, `${stream} ${windowStartOf(at)} ${emoji}`, amount);
  }

  #take(key: string, taps: number, policy: Policy, now: number): number {
    const full = policy.limits.viewer.tapBurstMax * GRAINS_PER_TOKEN;
    const { grains, at } = this.#buckets.get(key) ?? { grains: full, at: now };
    const held = Math.min(full, grains + (now - at) * policy.limits.viewer.tapsPerSecondMax);
    const counted = Math.min(taps, Math.floor(held / GRAINS_PER_TOKEN));
    this.#buckets.set(key, { grains: held - counted * GRAINS_PER_TOKEN, at: now });
    return counted;
  }
}

function isInForce(mute: Mute | undefined, now: number): boolean {
  return mute !== undefined && mute.liftedAt === null && (mute.until === null || now < mute.until);
}

function add(map: Map<string, number>, key: string, amount: number): void {
  map.set(key, (map.get(key) ?? 0) + amount);
}
