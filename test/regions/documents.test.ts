import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { DOCUMENTS_MAX, DocumentHashes, documentKinds, hashDocument, type DocumentKind } from '../../regions/documents.ts';
import { OwnDocuments } from '../../regions/own-documents.ts';
import { PeerDocuments } from '../../regions/peer-documents.ts';

const key = fc.constantFrom('page.a', 'page.b', 'page.c', 'page.d.e');
const bytes = fc.uint8Array({ minLength: 1, maxLength: 8 });
const never = (): never => expect.unreachable();

/** An owner whose documents are what a map says. */
function owner(documents: Map<string, Uint8Array>, told: [string, Uint8Array | null][] = []): DocumentKind {
  return {
    kind: 'page',
    keys: () => documents.keys(),
    read: (name) => documents.get(name) ?? null,
    receive: (_from, name, version) => void told.push([name, version]),
  };
}

function ownDocuments(documents: Map<string, Uint8Array>, { bytesPerTurnMax = 1e6, refuse = never as (name: string) => void } = {}): OwnDocuments {
  return new OwnDocuments({ region: 'us', kinds: documentKinds([owner(documents)]), bytesPerTurnMax, tombstoneMs: 1000, refuse });
}

describe('digest', () => {
  test('[REP-21] is equal for the same documents, in whatever order and however often they changed, and for no others', () => {
    const change = fc.tuple(key, fc.option(bytes));
    fc.assert(
      fc.property(fc.array(change, { maxLength: 20 }), (changes) => {
        const hashes = new DocumentHashes();
        const last = new Map<string, Uint8Array>();
        for (const [name, version] of changes) {
          const foretold = hashes.digestWith([[name, version && hashDocument(name, version)]]);
          if (version === null) {
            hashes.delete(name);
            last.delete(name);
          } else {
            hashes.set(name, hashDocument(name, version));
            last.set(name, version);
          }
          expect(hashes.digest()).toBe(foretold);
        }
        const afresh = new DocumentHashes();
        for (const [name, version] of [...last].toReversed()) afresh.set(name, hashDocument(name, version));
        expect([hashes.digest(), hashes.size]).toEqual([afresh.digest(), last.size]);
        for (const [name, version] of last) {
          const other = version.slice();
          other[0]! ^= 1;
          expect(hashes.digestWith([[name, hashDocument(name, other)]])).not.toBe(hashes.digest());
          expect(hashes.digestWith([[name, hashDocument(name, Uint8Array.of(...version, 0))]])).not.toBe(hashes.digest());
          expect(hashes.digestWith([[name, null], [`${name}x`, hashDocument(`${name}x`, version)]])).not.toBe(hashes.digest());
        }
      }),
      { numRuns: 200 },
    );
  });

  test('[REP-21] of versions a bit apart differs', () => {
    const seen = new Set<string>();
    const document = new Uint8Array(1250);
    for (let bit = 0; bit < 10_000; bit += 1) {
      document[bit >> 3]! ^= 1 << (bit & 7);
      const { high, low } = hashDocument('page.a', document);
      seen.add(`${high} ${low}`);
      document[bit >> 3]! ^= 1 << (bit & 7);
    }
    expect(seen.size).toBe(10_000);
  });
});

describe('own and peer side', () => {
  // What may happen between two turns: changes, turns whose append is kept, fails or half fails, a log opened again, a new reader.
  const command = fc.oneof(
    fc.tuple(fc.constant('put' as const), key, bytes),
    fc.tuple(fc.constant('drop' as const), key),
    fc.constant(['turn'] as const),
    fc.constant(['fail'] as const),
    fc.constant(['lose'] as const),
    fc.constant(['anew'] as const),
  );

  test('[REP-18, REP-20, REP-22] whatever is appended, lost and read again, equal digests mean equal documents, and what the log is said to hold it holds', () => {
    fc.assert(
      fc.property(fc.array(command, { maxLength: 40 }), (commands) => {
        const documents = new Map<string, Uint8Array>();
        const own = ownDocuments(documents, { bytesPerTurnMax: 12 });
        /** The log, and what a reader's owner was told to be there. */
        const log = new Map<string, Uint8Array>();
        const known = new Map<string, Uint8Array>();
        const peer = new PeerDocuments({
          peer: 'us',
          kinds: documentKinds([{ ...owner(new Map()), receive: (_from, name, version) => void (version === null ? known.delete(name) : known.set(name, version)) }]),
          refuse: never,
        });
        const readAll = (): void => {
          peer.startedAnew();
          for (const [name, version] of log) peer.merge(name, version);
        };
        const open = (): void => {
          own.opening();
          for (const [name, version] of log) own.visit(name, version, 0);
          own.opened();
        };
        const checkHeld = (): void => {
          const there = (version: Uint8Array | undefined): string | null => (version === undefined || version.length === 0 ? null : version.join());
          for (const name of new Set([...log.keys(), ...documents.keys()])) if (own.holds(name)) expect(there(log.get(name))).toBe(there(documents.get(name)));
        };
        const turn = (kept: (versions: number) => number): string | null => {
          const batch = own.take();
          checkHeld();
          const count = kept(batch.versions.length);
          for (const { key: name, bytes: version } of batch.versions.slice(0, count)) {
            log.delete(name);
            log.set(name, version);
            peer.merge(name, version);
          }
          if (count === batch.versions.length) {
            own.published(batch, 0);
            return batch.digest;
          }
          own.failed(batch);
          open();
          return null;
        };
        const check = (digest: string | null): void => {
          if (digest === null || !peer.matches(digest)) return;
          const live = [...log].filter(([, version]) => version.length > 0);
          expect(new Map(known)).toEqual(new Map(live));
        };
        open();
        for (const [what, name, version] of commands) {
          checkHeld();
          if (what === 'put') documents.set(name, version);
          else if (what === 'drop') documents.delete(name);
          if (what === 'put' || what === 'drop') own.mark(name);
          else if (what === 'turn') check(turn((versions) => versions));
          else if (what === 'fail') check(turn((versions) => Math.floor(versions / 2)));
          else if (what === 'lose') {
            log.clear();
            open();
            readAll();
          } else {
            readAll();
          }
        }
        // Once all is well: everything is there, and a reader of all of it is sure of it.
        let digest: string | null = null;
        for (let turns = 0; digest === null && turns < 20; turns += 1) digest = turn((versions) => versions);
        readAll();
        expect(digest !== null && peer.matches(digest)).toBe(true);
        expect(known).toEqual(documents);
        expect([...documents.keys()].every((name) => own.holds(name))).toBe(true);
        expect(own.waiting).toBe(0);
      }),
      { numRuns: 500 },
    );
  });

  test('[REP-19] what waits is bounded, and what the log holds', () => {
    const documents = new Map<string, Uint8Array>();
    let refused = 0;
    const own = ownDocuments(documents, { refuse: () => (refused += 1) });
    own.opening();
    own.opened();
    for (let page = 0; page < DOCUMENTS_MAX + 10; page += 1) {
      documents.set(`page.p${page}`, Uint8Array.of(1));
      expect(own.mark(`page.p${page}`)).toBe(page < DOCUMENTS_MAX);
    }
    expect([own.waiting, refused]).toEqual([DOCUMENTS_MAX, 10]);
    expect(own.mark('page.p0')).toBe(true);
    while (own.waiting > 0) own.published(own.take(), 0);
    expect(own.mark(`page.p${DOCUMENTS_MAX + 5}`)).toBe(true);
    expect(own.lacks(`page.p${DOCUMENTS_MAX + 5}`)).toBe(false);
    expect([own.take().versions, refused]).toEqual([[], 11]);
    expect([own.lacks(`page.p${DOCUMENTS_MAX + 5}`), own.lacks('page.p0')]).toEqual([true, false]);
    documents.set('page.p0', Uint8Array.of(2));
    own.mark('page.p0');
    expect(own.take().versions).toHaveLength(1);
  });

  test('[REP-19] of a peer no more than the bound are taken, and the rest is missed', () => {
    const told: [string, Uint8Array | null][] = [];
    let refused = 0;
    const peer = new PeerDocuments({ peer: 'us', kinds: documentKinds([owner(new Map(), told)]), refuse: () => (refused += 1) });
    for (let page = 0; page < DOCUMENTS_MAX + 10; page += 1) peer.merge(`page.p${page}`, Uint8Array.of(1));
    expect([peer.size, told.length, refused]).toEqual([DOCUMENTS_MAX, DOCUMENTS_MAX, 10]);
    peer.startedAnew();
    peer.merge('page.p0', Uint8Array.of(2));
    peer.merge('page.another', Uint8Array.of(2));
    expect([peer.size, refused]).toEqual([DOCUMENTS_MAX, 11]);
  });

  test('[REP-18] an owner is given bytes of its own: those of the log are lent', () => {
    const [told, own]: [string, Uint8Array | null][][] = [[], []];
    const peer = new PeerDocuments({ peer: 'eu', kinds: documentKinds([owner(new Map(), told)]), refuse: never });
    const restored = new OwnDocuments({
      region: 'us',
      kinds: documentKinds([owner(new Map(), own)]),
      bytesPerTurnMax: 1,
      tombstoneMs: 1,
      refuse: never,
    });
    const lent = Uint8Array.of(1, 2, 3);
    peer.merge('page.a', lent);
    restored.opening();
    restored.visit('page.a', lent, 0);
    lent.fill(0);
    expect([told, own]).toEqual([[['page.a', Uint8Array.of(1, 2, 3)]], [['page.a', Uint8Array.of(1, 2, 3)]]]);
  });

  test('[REP-20] of very many removed documents the log forgets the oldest early', () => {
    const documents = new Map<string, Uint8Array>();
    const own = ownDocuments(documents);
    own.opening();
    for (let page = 0; page < 10_500; page += 1) own.visit(`page.p${page}`, new Uint8Array(), 0);
    own.opened();
    const expired = own.expired(1);
    expect([expired.length, expired[0]]).toEqual([500, 'page.p0']);
    own.removed(expired);
    expect(own.expired(1)).toEqual([]);
    expect(own.expired(1000)).toHaveLength(1000);
  });

  test('[REP-18] two owners of one kind, or of one that fits no key, are a mistake', () => {
    expect(() => documentKinds([owner(new Map()), owner(new Map())])).toThrow('page');
    expect(() => documentKinds([{ ...owner(new Map()), kind: 'a.b' }])).toThrow('a.b');
  });
});
