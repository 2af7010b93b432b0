/**
 * Claims: which batches were counted here that another region may have counted as well, and how that ends.
 *
 * A batch that moved with its viewer is counted where it arrives, at once, and claimed against the regions that
 * it was sent to before. These answer; what one of them has counted with an earlier sending is given back here, once
 * [CLAIM-1]. So over all regions the net count is that of the sending that counted most, whatever the order
 * in which batches, claims and verdicts come, and however often.
 *
 * A claim comes into being in the commit that counts its batch, and is told to others only after it [CLAIM-2]. Claims are
 * bounded in number, and per viewer in rate: beyond it a batch is refused for now, never counted unclaimed [CLAIM-3].
 * Pure. Both sides' decisions are here and in `step.ts`; who carries pages and verdicts is `claims-desk.ts`.
 */

import { CLAIMS_PER_PAGE_MAX, REGIONS_PER_PAGE_MAX, numberKey, type Verdict } from '../../regions/claims.ts';
import { TokenBuckets } from '../antispam/token-bucket.ts';
import { COMMIT_RETENTION_MS, type ClaimRecord } from '../hot-store/hot-store.ts';

export interface ClaimLimits {
  /** Regions that may be claimed against; what else a batch says that it came by is nobody's. */
  readonly peers: readonly string[];
  /** Claims that may be pending, and settled ones that are remembered. */
  readonly claimsMax: number;
}

export const CLAIM_DEFAULTS: ClaimLimits = { peers: [], claimsMax: 65_536 };

type Pending = { -readonly [Field in keyof ClaimRecord]: ClaimRecord[Field] } & { committedAt: number };
type NewClaim = Omit<ClaimRecord, 'page' | 'given'>;

/** A fail-over leaves 32 batches at most; two in a row must do. */
const BUDGET = { tapBurstMax: 64, tapsPerSecondMax: 1 };
/** A page takes claims for so long, so that a crowd that moves makes few of them. */
const PAGE_OPEN_MS = 250;
/** The journal forgets what is older than ten minutes: what is pending for longer is committed again before. */
const REPEATED_AFTER_MS = COMMIT_RETENTION_MS / 2;
/** After that a rival is not waited for any longer. */
const PENDING_MS_MAX = 24 * 3_600_000;
/** Integers and headers beside the texts. */
const CLAIM_BYTES = 110;
const NONE: readonly string[] = Object.freeze([]);

export class Claims {
  readonly stats = { claimsMade: 0, claimsSettled: 0, claimsUnknown: 0, claimsExpired: 0, claimsRefused: 0, claimsForgottenEarly: 0, tapsGivenBack: 0 };
  readonly #peers: ReadonlySet<string>;
  readonly #claimsMax: number;
  readonly #budgets: TokenBuckets;
  /** Those whose commit is oldest come first. */
  readonly #pending = new Map<string, Pending>();
  /** Settled lately: a journal that was rolled back must hear of it again. */
  readonly #settled = new Map<string, Pending>();
  readonly #changed = new Set<Pending>();
  #changedBytes = 0;
  /** Of the pages of this life. */
  #pagePrefix = '';
  /** Commits of earlier lives are still to come. */
  #isJoining = true;
  #page = { number: 0, openedAt: -Infinity, size: 0, regions: new Set<string>() };

  constructor({ peers, claimsMax }: ClaimLimits, seed: number) {
    this.#peers = new Set(peers);
    this.#claimsMax = claimsMax;
    this.#budgets = new TokenBuckets(claimsMax, seed);
  }

  get size(): number {
    return this.#pending.size;
  }

  get changedCount(): number {
    return this.#changed.size;
  }

  /** An upper bound of the encoded size of those that changed. */
  get changedBytes(): number {
    return this.#changedBytes;
  }

  /** A life begins, with an epoch of its own. Earlier ones may go on writing for a moment. */
  begin(shard: number, epoch: number): void {
    this.#pagePrefix = `${shard}.${epoch}`;
  }

  /** Nothing more is joined. Until now a settled claim had to be known, or it would be pending by what was said of it before. */
  joined(): void {
    this.#isJoining = false;
    this.#boundSettled();
  }

  /** Nobody knows what was given back already: what is pending is let be. */
  giveUp(): void {
    this.stats.claimsExpired += this.#pending.size;
    this.#pending.clear();
  }

  /** The regions that may have counted a batch, by what it says of its way. */
  rivalsOf(via: readonly string[]): readonly string[] {
    return via.some((region) => this.#peers.has(region)) ? [...new Set(via)].filter((region) => this.#peers.has(region)) : NONE;
  }

  /** Whether a claim of this viewer can be taken now; it counts against what the viewer may claim. */
  admits(scope: number, viewer: string, now: number): boolean {
    const bucket = this.#pending.size < this.#claimsMax ? this.#budgets.find(scope, viewer, 0, now) : -1;
    if (bucket >= 0 && this.#budgets.take(bucket, 1, now, BUDGET) === 1) return true;
    this.stats.claimsRefused += 1;
    return false;
  }

  add(claim: NewClaim, now: number): void {
    const pending: Pending = { ...claim, page: this.#pageFor(claim.rivals, now), given: 0, committedAt: now };
    this.#pending.set(numberKey(claim), pending);
    this.stats.claimsMade += 1;
    this.#markChanged(pending);
  }

  /**
   * A rival has answered. `giveBack` is told which taps of the batch, from one place in it to another, are to be taken
   * back, and answers how many were. Verdicts on what is not pending, or of who was not asked or has answered, change nothing.
   */
  answer(from: string, verdict: Verdict, now: number, giveBack: (claim: ClaimRecord, fromTap: number, toTap: number) => number): void {
    const key = numberKey(verdict);
    const claim = this.#pending.get(key);
    if (claim === undefined || !claim.rivals.includes(from)) return;
    if (verdict.verdict === 'unknown') this.stats.claimsUnknown += 1;
    if (verdict.verdict === 'counted') {
      const accepted = tapsOf(claim);
      const taps = accepted + claim.clamped;
      const give = Math.min(accepted, taps - Math.min(taps, verdict.clamped));
      if (give > claim.given) {
        this.stats.tapsGivenBack += giveBack(claim, claim.given, give);
        claim.given = give;
      }
    }
    claim.rivals = claim.rivals.filter((rival) => rival !== from);
    if (claim.rivals.length === 0) this.#settle(key, claim, now);
    this.#markChanged(claim);
  }

  /**
   * Marks as changed what the journal would forget, up to a size of changes; ends what was pending for a day, and
   * forgets what was settled long ago.
   */
  tend(now: number, bytesMax: number): void {
    for (const [key, { committedAt }] of this.#settled) {
      if (now - committedAt < COMMIT_RETENTION_MS) break;
      this.#settled.delete(key);
    }
    for (const [key, claim] of this.#pending) {
      if (now - claim.committedAt < REPEATED_AFTER_MS || this.#changedBytes >= bytesMax) return;
      if (now - claim.at >= PENDING_MS_MAX) {
        claim.rivals = NONE;
        this.stats.claimsExpired += 1;
        this.#settle(key, claim, now);
      }
      this.#markChanged(claim);
      this.#moveToEnd(key, claim, now);
    }
  }

  /** Whether `tend` has something to do. */
  isDue(now: number): boolean {
    for (const { committedAt } of this.#pending.values()) return now - committedAt >= REPEATED_AFTER_MS;
    return false;
  }

  /** When the oldest batch with a claim was counted; Infinity when there is none. */
  oldestAt(): number {
    let oldest = Infinity;
    for (const { at } of this.#pending.values()) oldest = Math.min(oldest, at);
    return oldest;
  }

  takeChanged(): ClaimRecord[] {
    const taken = Array.from(this.#changed, recordOf);
    this.#changed.clear();
    this.#changedBytes = 0;
    return taken;
  }

  /** All that a later life must know. */
  *records(): Generator<ClaimRecord> {
    for (const claim of this.#pending.values()) yield recordOf(claim);
    for (const claim of this.#settled.values()) yield recordOf(claim);
  }

  /** Joins what a commit said of a claim, in any order, until `joined` is called: a living process knows better than its journal. */
  join(record: ClaimRecord): void {
    if (!this.#isJoining) return;
    const key = numberKey(record);
    const known = this.#settled.get(key) ?? this.#pending.get(key);
    const rivals = known === undefined ? record.rivals : record.rivals.filter((rival) => known.rivals.includes(rival));
    const joined = { ...record, rivals, given: Math.max(record.given, known?.given ?? 0), committedAt: record.at };
    if (rivals.length > 0) return void this.#pending.set(key, { ...joined, committedAt: 0 });
    this.#pending.delete(key);
    this.#settled.set(key, joined);
  }

  #settle(key: string, claim: Pending, now: number): void {
    this.#pending.delete(key);
    claim.committedAt = now;
    this.#settled.set(key, claim);
    this.stats.claimsSettled += 1;
    this.#boundSettled();
  }

  #boundSettled(): void {
    for (const oldest of this.#settled.keys()) {
      if (this.#settled.size <= this.#claimsMax) return;
      this.#settled.delete(oldest);
      this.stats.claimsForgottenEarly += 1;
    }
  }

  #moveToEnd(key: string, claim: Pending, now: number): void {
    if (!this.#pending.delete(key)) return;
    claim.committedAt = now;
    this.#pending.set(key, claim);
  }

  #pageFor(rivals: readonly string[], now: number): string {
    const { openedAt, size, regions } = this.#page;
    const together = new Set([...regions, ...rivals]);
    if (now - openedAt < PAGE_OPEN_MS && size < CLAIMS_PER_PAGE_MAX && together.size <= REGIONS_PER_PAGE_MAX) {
      this.#page.size += 1;
      this.#page.regions = together;
    } else {
      this.#page = { number: this.#page.number + 1, openedAt: now, size: 1, regions: new Set(rivals) };
    }
    return `${this.#pagePrefix}.${this.#page.number}`;
  }

  #markChanged(claim: Pending): void {
    if (this.#changed.has(claim)) return;
    this.#changed.add(claim);
    this.#changedBytes += claimBytesMax(claim);
  }
}

/** An upper bound of what msgpack makes of a claim, its stream told with it. */
export function claimBytesMax({ stream, session, viewer, device, page, reactions, rivals }: ClaimRecord): number {
  let bytes = CLAIM_BYTES + stream.length + session.length + viewer.length + (device?.length ?? 0) + page.length;
  for (const [emoji] of reactions) bytes += emoji.length + 11;
  for (const rival of rivals) bytes += rival.length + 2;
  return bytes;
}

function recordOf(pending: Pending): ClaimRecord {
  const { committedAt: _, ...claim } = pending;
  return claim;
}

function tapsOf({ reactions }: ClaimRecord): number {
  return reactions.reduce((taps, [, count]) => taps + count, 0);
}
