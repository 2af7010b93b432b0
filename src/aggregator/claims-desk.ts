/**
 * The claims desk of a region: carries claims and verdicts between its shards and the documents of the logs.
 *
 * Own claims are published as they were committed, page by page, and a page that has none left is removed
 * [CLAIM-2]. A peer's claims against this region go to their shards; what these say is published, in one document
 * for each page, and never changes as long as the page stands, also over a restart [CLAIM-5]. Verdicts of peers on own
 * claims go to their shards. What a shard has no place for now is brought again every second, and what the own log had no place for.
 */

import type { StreamId } from '../../crdt/ids.ts';
import {
  CLAIMS_KIND,
  MalformedClaims,
  VERDICTS_KIND,
  claimsKey,
  decodeClaims,
  decodeVerdicts,
  encodeClaims,
  encodeVerdicts,
  numberKey,
  parseClaimsKey,
  parseVerdictsKey,
  verdictsKey,
  type Claim,
  type Verdict,
} from '../../regions/claims.ts';
import type { DocumentKind } from '../../regions/documents.ts';
import type { Cancel, Log, Runtime } from '../../regions/runtime.ts';
import type { ClaimRecord, Commit } from '../hot-store/hot-store.ts';
import type { ClaimWork } from './claim-works.ts';

export interface ClaimsDeskParts {
  readonly region: string;
  /** The shard that the batches of a session go to. */
  readonly shardFor: (stream: StreamId, session: string) => { hear(work: ClaimWork): boolean };
  /** All that count a stream: in which of them a claim is pending depends on who made it. Absent where there is one. */
  readonly shardsFor?: (stream: StreamId) => readonly { hear(work: ClaimWork): boolean }[];
  readonly shards: () => Iterable<{ pendingClaims(): Iterable<ClaimRecord> }>;
  /** A document has changed, come into being, or gone. */
  readonly markDocument: (key: string) => boolean;
  /** Whether the own log did not take a document, for which it had no room. */
  readonly lacksDocument: (key: string) => boolean;
  /** Whatever documents a peer had at this time, by our clock, has been heard; null before the first such word. */
  readonly heardAt: (peer: string) => number | null;
  readonly runtime: Runtime;
  readonly log: Log;
}

/** A page of a peer that names this region. */
interface HeardPage {
  at: number;
  /** The claims on it that are not answered, by what they are about. */
  left: Map<string, Claim>;
  /** Those that are with their shards. */
  readonly asked: Set<string>;
}

/** What is answered of one page, by what it is about. */
interface Answers {
  readonly verdicts: Map<string, Verdict>;
  /** Restored from the own log at this time, and its page was not heard since; null once it was. */
  unheardSince: number | null;
}

const AGAIN_MS = 1000;
/** Documents that a full log is offered again at a time. */
const OFFERED_AGAIN_MAX = 256;
/** No claimant waits longer than a day; one that is no peer any more says nothing. */
const UNHEARD_MS_MAX = 25 * 3_600_000;

export class ClaimsDesk {
  readonly kinds: readonly DocumentKind[];
  readonly #parts: ClaimsDeskParts;
  /** Own pages, as committed: page → what a claim is about → claim. */
  readonly #pages = new Map<string, Map<string, ClaimRecord>>();
  /** Own documents of verdicts, by key. */
  readonly #answers = new Map<string, Answers>();
  /** Peers' pages that name this region, by the key of our verdicts on them. */
  readonly #heard = new Map<string, HeardPage>();
  /** Verdicts of peers that no shard has taken yet, by peer and key. */
  readonly #undelivered = new Map<string, { readonly from: string; readonly verdicts: readonly Verdict[] }>();
  readonly #count = { claimsMalformed: 0, claimsJudged: 0, verdictsHeard: 0 };
  #cancel: Cancel = () => {};

  constructor(parts: ClaimsDeskParts) {
    this.#parts = parts;
    this.kinds = [
      {
        kind: CLAIMS_KIND,
        keys: () => Array.from(this.#pages.keys(), claimsKey),
        read: (key) => this.#readPage(key),
        receive: (from, key, bytes) => this.#guard(from, key, () => this.#hearPage(from, key, bytes)),
      },
      {
        kind: VERDICTS_KIND,
        keys: () => this.#answers.keys(),
        read: (key) => this.#readVerdicts(key),
        receive: (from, key, bytes) => this.#guard(from, key, () => this.#hearVerdicts(from, key, bytes)),
      },
    ];
  }

  /** Counters, but for `claimPages`, `verdictPages` and `verdictsWaiting`. */
  get stats(): Readonly<Record<string, number>> {
    return { ...this.#count, claimPages: this.#pages.size, verdictPages: this.#answers.size, verdictsWaiting: this.#undelivered.size };
  }

  /** The shards have recovered: what they have pending is published. Before peers' logs are read. */
  start(): void {
    for (const shard of this.#parts.shards()) for (const claim of shard.pendingClaims()) this.#keep(claim);
    this.#cancel = this.#parts.runtime.timers.every(AGAIN_MS, () => this.#again());
  }

  stop(): void {
    this.#cancel();
  }

  /** Called with each durable commit. */
  committed(commit: Commit): void {
    for (const claim of commit.claims ?? []) this.#keep(claim);
  }

  // Own claims

  #keep(claim: ClaimRecord): void {
    const page = this.#pages.get(claim.page) ?? new Map<string, ClaimRecord>();
    const key = numberKey(claim);
    if (claim.rivals.length > 0) {
      const isNew = !page.has(key);
      this.#pages.set(claim.page, page.set(key, claim));
      if (isNew) this.#parts.markDocument(claimsKey(claim.page));
      return;
    }
    page.delete(key);
    // Fewer claims on a page are no news to anybody; none are.
    if (page.size > 0 || !this.#pages.delete(claim.page)) return;
    this.#parts.markDocument(claimsKey(claim.page));
  }

  #readPage(key: string): Uint8Array | null {
    const page = this.#pages.get(parseClaimsKey(key) ?? '');
    if (page === undefined) return null;
    const claims = [...page.values()];
    return encodeClaims({ at: Math.min(...claims.map(({ at }) => at)), claims });
  }

  #hearVerdicts(from: string, key: string, bytes: Uint8Array | null): void {
    const name = parseVerdictsKey(key);
    if (name === null || bytes === null) return void this.#undelivered.delete(`${from} ${key}`);
    if (from === this.#parts.region) return this.#restore(key, decodeVerdicts(bytes));
    if (name.claimant !== this.#parts.region) return;
    const page = this.#pages.get(name.page);
    if (page === undefined) return;
    const verdicts = decodeVerdicts(bytes).filter((verdict) => page.get(numberKey(verdict))?.rivals.includes(from));
    this.#count.verdictsHeard += verdicts.length;
    this.#deliver(`${from} ${key}`, from, verdicts);
  }

  #deliver(key: string, from: string, verdicts: readonly Verdict[]): void {
    const left = verdicts.filter((verdict) => {
      const { shardFor, shardsFor = () => [shardFor(verdict.stream, verdict.session)] } = this.#parts;
      // Told to those again who have heard it, it changes nothing.
      const heard = shardsFor(verdict.stream).map((shard) => shard.hear({ kind: 'verdict', from, verdict }));
      return heard.includes(false);
    });
    if (left.length > 0) this.#undelivered.set(key, { from, verdicts: left });
    else this.#undelivered.delete(key);
  }

  // Claims of peers

  #hearPage(from: string, key: string, bytes: Uint8Array | null): void {
    const name = parseClaimsKey(key);
    if (name === null || from === this.#parts.region) return;
    const answersKey = verdictsKey(from, name);
    if (bytes === null) {
      this.#heard.delete(answersKey);
      if (this.#answers.delete(answersKey)) this.#parts.markDocument(answersKey);
      return;
    }
    const { at, claims } = decodeClaims(bytes);
    const answers = this.#answers.get(answersKey);
    if (answers !== undefined) answers.unheardSince = null;
    const left = new Map(
      claims
        .filter(({ rivals }) => rivals.includes(this.#parts.region))
        .map((claim) => [numberKey(claim), claim] as const)
        .filter(([number]) => !answers?.verdicts.has(number)),
    );
    const heard = this.#heard.get(answersKey);
    if (heard !== undefined) Object.assign(heard, { at, left });
    else if (left.size > 0) this.#heard.set(answersKey, { at, left, asked: new Set() });
    this.#ask(answersKey);
  }

  /** Brings the shards what they have not answered. */
  #ask(answersKey: string): void {
    const heard = this.#heard.get(answersKey);
    if (heard === undefined) return;
    const { at, left, asked } = heard;
    for (const [number, claim] of left) {
      if (asked.has(number)) continue;
      const done = (verdict: Verdict | null): void => {
        asked.delete(number);
        if (verdict !== null && this.#heard.get(answersKey) === heard) this.#answer(answersKey, heard, number, verdict);
      };
      if (this.#parts.shardFor(claim.stream, claim.session).hear({ kind: 'claim', claim, at, done })) asked.add(number);
    }
  }

  /** A given verdict never changes: what it rests on may be forgotten before the claimant has heard it. */
  #answer(answersKey: string, heard: HeardPage, number: string, verdict: Verdict): void {
    let answers = this.#answers.get(answersKey);
    if (answers === undefined) this.#answers.set(answersKey, (answers = { verdicts: new Map(), unheardSince: null }));
    heard.left.delete(number);
    if (answers.verdicts.has(number)) return;
    answers.verdicts.set(number, verdict);
    this.#count.claimsJudged += 1;
    this.#parts.markDocument(answersKey);
  }

  #restore(key: string, verdicts: readonly Verdict[]): void {
    // The log was opened again: who lives knows better than the log.
    if (this.#answers.has(key)) return;
    const restored = new Map(verdicts.map((verdict) => [numberKey(verdict), verdict]));
    this.#answers.set(key, { verdicts: restored, unheardSince: this.#parts.runtime.clock.now() });
  }

  #readVerdicts(key: string): Uint8Array | null {
    const answers = this.#answers.get(key);
    return answers === undefined ? null : encodeVerdicts([...answers.verdicts.values()]);
  }

  // Both

  #again(): void {
    for (const [key, { from, verdicts }] of this.#undelivered) this.#deliver(key, from, verdicts);
    for (const key of this.#heard.keys()) this.#ask(key);
    this.#offerAgain();
    const now = this.#parts.runtime.clock.now();
    for (const [key, { unheardSince }] of this.#answers) {
      if (unheardSince === null) continue;
      // Who has said since which pages it has, without this one, has settled it, or lost it.
      const heardAt = this.#parts.heardAt(parseVerdictsKey(key)!.claimant) ?? -Infinity;
      if (heardAt <= unheardSince && now - unheardSince < UNHEARD_MS_MAX) continue;
      this.#answers.delete(key);
      this.#parts.markDocument(key);
    }
  }

  #offerAgain(): void {
    const keys = [...Array.from(this.#pages.keys(), claimsKey), ...this.#answers.keys()];
    const lacking = keys.filter((key) => this.#parts.lacksDocument(key));
    for (const key of lacking.slice(0, OFFERED_AGAIN_MAX)) this.#parts.markDocument(key);
  }

  #guard(from: string, key: string, hear: () => void): void {
    try {
      hear();
    } catch (error) {
      if (!(error instanceof MalformedClaims)) throw error;
      this.#count.claimsMalformed += 1;
      this.#parts.log.warn({ from, key, error }, 'Skipped claims that cannot be read.');
    }
  }
}
