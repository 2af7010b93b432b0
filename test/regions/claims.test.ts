import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { StreamId } from '../../crdt/ids.ts';
import {
  CLAIMS_PER_PAGE_MAX,
  MalformedClaims,
  claimsKey,
  decodeClaims,
  decodeVerdicts,
  encodeClaims,
  encodeVerdicts,
  parseClaimsKey,
  parseVerdictsKey,
  verdictsKey,
  type Claim,
  type Verdict,
} from '../../regions/claims.ts';
import { LOGGED_DOCUMENT_BYTES_MAX, isDocumentKey } from '../../regions/documents.ts';

const id = fc.stringMatching(/^[A-Za-z0-9_-]{1,64}$/).filter((text) => text !== '__proto__');
const numbered = {
  stream: fc.oneof(fc.constantFrom('a', 'b'), id) as fc.Arbitrary<StreamId>,
  session: id,
  sequence: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
  clamped: fc.nat(),
};
const region = fc.constantFrom('us', 'eu', 'ap', 'sa');
const claim: fc.Arbitrary<Claim> = fc.record({
  ...numbered,
  attempt: fc.integer({ min: 1, max: 8 }),
  rivals: fc.uniqueArray(region, { minLength: 1 }).map((rivals) => rivals.sort()),
});
const verdict: fc.Arbitrary<Verdict> = fc.record({ ...numbered, verdict: fc.constantFrom('keep' as const, 'counted' as const, 'unknown' as const) });
const sorted = (items: readonly object[]): string[] => items.map((item) => JSON.stringify(item, Object.keys(item).sort())).sort();

describe('[CLAIM-8] pages of claims and verdicts', () => {
  it('survive the wire unchanged', () => {
    fc.assert(
      fc.property(fc.nat(), fc.array(claim, { maxLength: 20 }), fc.array(verdict, { maxLength: 20 }), (at, claims, verdicts) => {
        const page = decodeClaims(encodeClaims({ at, claims }));
        expect(page.at).toBe(at);
        expect(sorted(page.claims)).toEqual(sorted(claims));
        expect(sorted(decodeVerdicts(encodeVerdicts(verdicts)))).toEqual(sorted(verdicts));
      }),
    );
  });

  it('are read, or refused with a typed error, whatever the bytes', () => {
    const good = [
      encodeClaims({ at: 7, claims: [{ stream: 'a' as StreamId, session: 's', sequence: 3, attempt: 2, clamped: 1, rivals: ['eu'] }] }),
      encodeVerdicts([{ stream: 'a' as StreamId, session: 's', sequence: 3, verdict: 'counted', clamped: 1 }]),
    ];
    const damaged = fc.oneof(
      fc.uint8Array({ maxLength: 64 }),
      fc.tuple(fc.constantFrom(...good), fc.nat(), fc.nat({ max: 255 })).map(([bytes, at, value]) => bytes.with(at % bytes.length, value)),
      fc.tuple(fc.constantFrom(...good), fc.nat()).map(([bytes, length]) => bytes.slice(0, length % bytes.length)),
    );
    fc.assert(
      fc.property(damaged, (bytes) => {
        for (const decode of [decodeClaims, decodeVerdicts]) {
          try {
            decode(bytes);
          } catch (error) {
            expect(error).toBeInstanceOf(MalformedClaims);
          }
        }
      }),
      { numRuns: 2000 },
    );
  });

  it('fit a document, and a page of usual claims costs less than 40 bytes each', () => {
    const many = (session: (index: number) => string, stream: string): Claim[] =>
      Array.from({ length: CLAIMS_PER_PAGE_MAX }, (_, index) => {
        return { stream: stream as StreamId, session: session(index), sequence: 300 + index, attempt: 1, clamped: 0, rivals: ['us-east-1'] };
      });
    const large = many((index) => `${index}`.padStart(64, 's'), 'x'.repeat(64)).map((one, index): Claim => {
      return { ...one, stream: `${index}`.padStart(64, 'x') as StreamId };
    });
    expect(encodeClaims({ at: Date.now(), claims: large }).length).toBeLessThan(LOGGED_DOCUMENT_BYTES_MAX / 4);
    const usual = many((index) => `${index}`.padStart(22, 's'), 'derby');
    expect(encodeClaims({ at: Date.now(), claims: usual }).length / usual.length).toBeLessThan(40);
    const verdicts = usual.map(({ stream, session, sequence }): Verdict => ({ stream, session, sequence, verdict: 'keep', clamped: 0 }));
    expect(encodeVerdicts(verdicts).length / usual.length).toBeLessThan(40);
  });

  it('have keys of one spelling', () => {
    for (const page of ['0.1795342812345.1', '12.1.99']) {
      expect(parseClaimsKey(claimsKey(page))).toBe(page);
      expect(parseVerdictsKey(verdictsKey('eu', page))).toEqual({ claimant: 'eu', page });
      expect(isDocumentKey(claimsKey(page)) && isDocumentKey(verdictsKey('e'.repeat(64), page))).toBe(true);
    }
    for (const key of ['claims', 'claims.0.1', 'claims.00.1.1', 'claims.0.1.0', 'claims.0.1.1.1', 'claims.a.1.1', 'verdicts.0.1.1', 'claims.']) {
      expect(parseClaimsKey(key), key).toBeNull();
      expect(parseVerdictsKey(key), key).toBeNull();
    }
    expect(parseVerdictsKey('verdicts.__proto__.0.1.1')).toBeNull();
  });
});
