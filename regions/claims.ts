/**
 * What regions tell each other of batches that came to more than one of them: claims, and verdicts on them.
 *
 * A region that counted a batch which another one may have counted says so in a *page* of claims, a document
 * of its log: `claims.<shard>.<epoch>.<number>`. Each region that a claim names answers in a document of its
 * own log, `verdicts.<claimant>.<shard>.<epoch>.<number>`. What is claimed and answered is decided elsewhere
 * (`src/aggregator/claims.ts`); here is how it is written. Pure and strict.
 *
 * A version byte, then a msgpack array. Pages: `[at, [region, …], stream, [session, sequence, attempt, clamped,
 * rivals, …], …]`, rivals as bits that stand for the regions in front. Verdicts: `[stream, [session, sequence,
 * verdict, clamped, …], …]`, a verdict being its place in `VERDICTS`.
 */

import { Decoder, Encoder } from '@msgpack/msgpack';
import { isCount } from '../crdt/counts.ts';
import { isId, type StreamId } from '../crdt/ids.ts';

export interface Numbered {
  readonly stream: StreamId;
  readonly session: string;
  readonly sequence: number;
}

/** This batch was counted here, and may have been counted by its rivals. */
export interface Claim extends Numbered {
  /** To how many regions it had been sent before: of two that counted it, the one with fewer keeps it. */
  readonly attempt: number;
  /** Taps of it that were not counted here. */
  readonly clamped: number;
  /** Regions that are still to answer. */
  readonly rivals: readonly string[];
}

export interface ClaimPage {
  /** When the oldest of its claims was made, by the claimant's clock. */
  readonly at: number;
  readonly claims: readonly Claim[];
}

/**
 * `keep`: never counted here before the claimant did, and never will be. `counted`: counted here, all but
 * `clamped` taps of it. `unknown`: nobody here remembers; it will not be counted from now on.
 */
const VERDICTS = ['keep', 'counted', 'unknown'] as const;

export interface Verdict extends Numbered {
  readonly verdict: (typeof VERDICTS)[number];
  readonly clamped: number;
}

/** Bytes that are no claims or verdicts. */
export class MalformedClaims extends Error {
  override readonly name = 'MalformedClaims';
}

export const CLAIMS_KIND = 'claims';
export const VERDICTS_KIND = 'verdicts';
export const CLAIMS_PER_PAGE_MAX = 256;
/** Bits of a whole number that every reader of msgpack has. */
export const REGIONS_PER_PAGE_MAX = 30;

const VERSION = 1;
const CLAIM_FIELDS = 5;
const VERDICT_FIELDS = 4;
const ATTEMPT_MAX = 8;
const PAGE_PATTERN = /^(?:0|[1-9]\d{0,5})\.[1-9]\d{0,15}\.[1-9]\d{0,15}$/;
const encoder = new Encoder();
const decoder = new Decoder({
  maxStrLength: 64,
  maxBinLength: 0,
  maxArrayLength: 2 + (CLAIM_FIELDS + 2) * CLAIMS_PER_PAGE_MAX,
  maxMapLength: 0,
  maxExtLength: 0,
});

/** A page's name is `<shard>.<epoch>.<number>`: given once by its region, for ever. */
export function claimsKey(page: string): string {
  return `${CLAIMS_KIND}.${page}`;
}

export function verdictsKey(claimant: string, page: string): string {
  return `${VERDICTS_KIND}.${claimant}.${page}`;
}

/** The name of the page; null when the key is none of claims. */
export function parseClaimsKey(key: string): string | null {
  const page = key.slice(CLAIMS_KIND.length + 1);
  return key === claimsKey(page) && PAGE_PATTERN.test(page) ? page : null;
}

export function parseVerdictsKey(key: string): { readonly claimant: string; readonly page: string } | null {
  const [kind, claimant = '', ...tokens] = key.split('.');
  const page = tokens.join('.');
  return kind === VERDICTS_KIND && isId(claimant) && PAGE_PATTERN.test(page) ? { claimant, page } : null;
}

/** What a claim or verdict is about, as a key of maps. */
export function numberKey({ stream, session, sequence }: Numbered): string {
  return `${stream} ${session} ${sequence}`;
}

/** The rivals of all claims together must not be more than `REGIONS_PER_PAGE_MAX`. */
export function encodeClaims({ at, claims }: ClaimPage): Uint8Array {
  const regions = [...new Set(claims.flatMap(({ rivals }) => rivals))].sort();
  const groups = groupByStream(claims, ({ session, sequence, attempt, clamped, rivals }) => [
    session,
    sequence,
    attempt,
    clamped,
    rivals.reduce((bits, rival) => bits | (1 << regions.indexOf(rival)), 0),
  ]);
  return encode([Math.floor(at), regions, ...groups]);
}

/** @throws MalformedClaims */
export function decodeClaims(bytes: Uint8Array): ClaimPage {
  const [at, names, ...groups] = decode(bytes);
  expect(isCount(at), 'the time is no count');
  expect(Array.isArray(names) && names.length <= REGIONS_PER_PAGE_MAX && names.every(isId), 'not a list of regions');
  const regions = names as string[];
  const claims = numberedOf(groups, CLAIM_FIELDS, (numbered, [attempt, clamped, bits]): Claim => {
    expect(isCount(attempt) && attempt >= 1 && attempt <= ATTEMPT_MAX, 'no attempt');
    expect(isCount(clamped), 'no count of taps');
    expect(isCount(bits) && bits > 0 && bits < 2 ** regions.length, 'no rivals');
    return { ...numbered, attempt, clamped, rivals: regions.filter((_, index) => (bits & (1 << index)) !== 0) };
  });
  return { at, claims };
}

export function encodeVerdicts(verdicts: readonly Verdict[]): Uint8Array {
  return encode(groupByStream(verdicts, ({ session, sequence, verdict, clamped }) => [session, sequence, VERDICTS.indexOf(verdict), clamped]));
}

/** @throws MalformedClaims */
export function decodeVerdicts(bytes: Uint8Array): Verdict[] {
  return numberedOf(decode(bytes), VERDICT_FIELDS, (numbered, [code, clamped]): Verdict => {
    const verdict = isCount(code) ? VERDICTS[code] : undefined;
    expect(verdict !== undefined && isCount(clamped), 'no verdict');
    return { ...numbered, verdict, clamped };
  });
}

function groupByStream<Item extends Numbered>(items: readonly Item[], fieldsOf: (item: Item) => unknown[]): unknown[] {
  const groups = new Map<StreamId, unknown[]>();
  for (const item of items) {
    let group = groups.get(item.stream);
    if (group === undefined) groups.set(item.stream, (group = []));
    group.push(...fieldsOf(item));
  }
  return [...groups].flat();
}

function numberedOf<Item>(groups: readonly unknown[], width: number, itemOf: (numbered: Numbered, rest: readonly unknown[]) => Item): Item[] {
  const items: Item[] = [];
  expect(groups.length % 2 === 0, 'a stream without its list');
  for (let index = 0; index < groups.length; index += 2) {
    const stream = groups[index];
    const fields = groups[index + 1];
    expect(isId(stream) && Array.isArray(fields) && fields.length % width === 0, 'not the list of a stream');
    for (let at = 0; at < fields.length; at += width) {
      const [session, sequence, ...rest] = fields.slice(at, at + width) as unknown[];
      expect(isId(session) && isCount(sequence) && sequence >= 1, 'no number of a session');
      items.push(itemOf({ stream: stream as StreamId, session, sequence }, rest));
    }
  }
  return items;
}

function encode(fields: readonly unknown[]): Uint8Array {
  const body = encoder.encodeSharedRef(fields);
  const bytes = new Uint8Array(1 + body.length);
  bytes[0] = VERSION;
  bytes.set(body, 1);
  return bytes;
}

function decode(bytes: Uint8Array): readonly unknown[] {
  expect(bytes[0] === VERSION, `version ${bytes[0]}; this build reads ${VERSION}`);
  let fields: unknown;
  try {
    fields = decoder.decode(bytes.subarray(1));
  } catch (error) {
    throw new MalformedClaims('not msgpack', { cause: error });
  }
  expect(Array.isArray(fields), 'not a list');
  return fields as unknown[];
}

function expect(condition: boolean, otherwise: string): asserts condition {
  if (!condition) throw new MalformedClaims(otherwise);
}
