/** Ids, actors and epochs: one spelling each, and no id that means something to a neighbour. */

import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { actorId, mintEpoch, parseActorId, regionOf } from '../../crdt/actor.ts';
import { MalformedId, isId, parseEmojiId, parseStreamId } from '../../crdt/ids.ts';
import { RUNS } from './arbitraries.ts';

const id = fc.stringMatching(/^[A-Za-z0-9_-]{1,64}$/).filter((text) => text !== '__proto__');
const actor = fc.record({ region: id, shard: fc.nat(), epoch: fc.maxSafeNat().map((value) => Math.max(1, value)) });

describe('ids', () => {
  it('[CRDT-9] every text of the grammar is an id', () => {
    fc.assert(
      fc.property(id, (text) => {
        expect(parseStreamId(text)).toBe(text);
        expect(parseEmojiId(text)).toBe(text);
      }),
      RUNS,
    );
  });

  it('[CRDT-9] nothing else is', () => {
    const anything = fc.oneof(fc.anything({ maxDepth: 1, maxKeys: 2 }), fc.string(), fc.string({ unit: 'binary' }));
    fc.assert(
      fc.property(anything, (value) => {
        fc.pre(!(typeof value === 'string' && /^[A-Za-z0-9_-]{1,64}$/.test(value)));
        expect(isId(value)).toBe(false);
        expect(() => parseStreamId(value)).toThrow(MalformedId);
        expect(() => parseEmojiId(value)).toThrow(MalformedId);
      }),
      RUNS,
    );
  });

  it.each(['', '__proto__', 'a.b', 'a*', '>', '{a}', '../etc', 'a/b', 'a b', 'a\n', '\na', 'a\0', 'é', '❤️', '\uD83D', 'x'.repeat(65), '=1+1', 'a,b'])(
    '[CRDT-9] %j is no id: it would mean something as a subject, key, path, field or property',
    (text) => {
      expect(isId(text)).toBe(false);
    },
  );
});

describe('actors', () => {
  it('[CRDT-10] an actor has one spelling, and the spelling one actor', () => {
    fc.assert(
      fc.property(actor, (a) => {
        expect(parseActorId(actorId(a))).toEqual(a);
        expect(regionOf(actorId(a))).toBe(a.region);
      }),
      RUNS,
    );
  });

  it('[CRDT-10] what parses is spelled canonically', () => {
    const part = fc.oneof(fc.string({ maxLength: 4 }), fc.nat(20).map(String), fc.constantFrom('01', '+1', '1e3', '0x1', ' 1', '1 ', '-0', '1.0', ''));
    fc.assert(
      fc.property(fc.array(part, { minLength: 1, maxLength: 4 }), (parts) => {
        const text = parts.join('/');
        try {
          expect(actorId(parseActorId(text))).toBe(text);
        } catch (error) {
          expect(error).toBeInstanceOf(MalformedId);
        }
      }),
      { numRuns: 1000 },
    );
  });

  it.each(['us', 'us/0', 'us/0/0', 'us/0/1/2', 'us/00/1', 'us/0/01', 'us/-1/1', 'us/0/1e3', 'us/0x1/1', 'us//1', '/0/1', 'u.s/0/1', 'us/0/9007199254740992', 'us/0/ 1', null, 1])(
    '[CRDT-10] %j is no actor',
    (text) => {
      expect(() => parseActorId(text)).toThrow(MalformedId);
    },
  );

  it.each([
    { region: '', shard: 0, epoch: 1 },
    { region: 'us', shard: -1, epoch: 1 },
    { region: 'us', shard: 0.5, epoch: 1 },
    { region: 'us', shard: 0, epoch: 0 },
    { region: 'us', shard: 0, epoch: Number.NaN },
    { region: 'us/0', shard: 0, epoch: 1 },
  ])('[CRDT-10] %j cannot become an actor', (fields) => {
    expect(() => actorId(fields)).toThrow(MalformedId);
  });
});

describe('epochs', () => {
  it('[CRDT-11] a new epoch is greater than all known ones and not older than the clock', () => {
    const known = fc.array(fc.nat(2 ** 42), { maxLength: 6 });
    fc.assert(
      fc.property(fc.double({ min: -1e12, max: 4e12, noNaN: true }), known, (nowMs, epochs) => {
        const epoch = mintEpoch(nowMs, epochs);
        expect(Number.isSafeInteger(epoch)).toBe(true);
        expect(epoch).toBeGreaterThanOrEqual(Math.max(1, Math.floor(nowMs)));
        for (const earlier of epochs) expect(epoch).toBeGreaterThan(earlier);
        expect(() => actorId({ region: 'us', shard: 0, epoch })).not.toThrow();
      }),
      RUNS,
    );
  });
});
