/**
 * What a shard must do, said as simply as possible: maps of everything ever counted, nothing packed,
 * nothing forgotten. Slow and obviously right; the step is compared with it.
 */

import { WINDOW_BITS } from '../../crdt/sequence-window.ts';
import { windowStartOf } from '../../src/base/window.ts';
import type { Batch, IngestReply } from '../../src/aggregator/ingest.ts';
import type { Policy } from '../../src/moderation/policy.ts';

const GRAINS_PER_TOKEN = 1000;

export interface ModelState {
  /** `stream session` → sequence → taps of the batch that did not count. */
  readonly sessions: Map<string, Map<number, number>>;
  /** `stream emoji` → taps. */
  readonly totals: Map<string, number>;
  /** `stream windowStart emoji` → taps. */
  readonly windows: Map<string, number>;
}

export class ShardModel {
  state: ModelState = { sessions: new Map(), totals: new Map(), windows: new Map() };
  #committed: ModelState = structuredClone(this.state);
  #buckets = new Map<string, { grains: number; at: number }>();

  commit(): void {
    this.#committed = structuredClone(this.state);
  }

  /** What was not committed is gone, and rate caps start anew. */
  crash(): void {
    this.state = structuredClone(this.#committed);
    this.#buckets = new Map();
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
    const accepted = this.#take(`${stream} ${batch.viewer}`, taps, policy, now);
    if (session !== null) {
      const sequences = admitted ?? new Map<number, number>();
      this.state.sessions.set(`${stream} ${session}`, sequences.set(sequence, taps - accepted));
    }
    let left = accepted;
    for (const [emoji, count] of reactions) {
      const counted = Math.min(left, count);
      left -= counted;
      if (counted === 0) continue;
      add(this.state.totals, `${stream} ${emoji}`, counted);
      add(this.state.windows, `${stream} ${windowStartOf(now)} ${emoji}`, counted);
    }
    return { kind: 'counted', accepted, clamped: taps - accepted, duplicate: false };
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

function add(map: Map<string, number>, key: string, amount: number): void {
  map.set(key, (map.get(key) ?? 0) + amount);
}
