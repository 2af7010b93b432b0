import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { actorId } from '../../crdt/actor.ts';
import { isId, parseStreamId } from '../../crdt/ids.ts';
import { isDocumentKey } from '../../regions/documents.ts';
import { assertKey } from '../../regions/log.ts';
import { HEARTBEAT_KEY, custodyKey, documentKey, parseKey, rowKey } from '../../regions/subjects.ts';

const id = fc.stringMatching(/^[A-Za-z0-9_-]{1,64}$/).filter(isId);
const index = fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER });

test('[REP-1] a key says which row it is, and every row has one key in the own log and one in custody', () => {
  fc.assert(
    fc.property(id, index, index, id, id, (region, shard, epoch, streamText, keeper) => {
      const row = { stream: parseStreamId(streamText), actor: actorId({ region, shard, epoch }) };
      expect(parseKey(region, rowKey(row))).toEqual({ kind: 'row', ...row });
      expect(parseKey(keeper, custodyKey(row))).toEqual({ kind: 'custody', ...row });
    }),
    { numRuns: 300 },
  );
  expect(parseKey('us', HEARTBEAT_KEY)).toEqual({ kind: 'heartbeat' });
});

test('[REP-1] a key in any other spelling is refused and never throws', () => {
  const refused = [
    '', '.', 'row', 'row.0.1', 'row.0.1.derby.x', 'row.00.1.derby', 'row.0.1e3.derby', 'row.-1.1.derby', 'row.0.1.5.derby',
    'row.0. 1.derby', 'row.0.9007199254740993.derby', 'row.NaN.1.derby', 'row.0.1.__proto__', 'row.0.1.', 'Row.0.1.derby',
    'doc', 'doc.', 'doc.policy', 'doc.policy.', 'doc.policy..derby', 'doc.po licy.derby', 'doc.policy.*', `doc.policy.${'x'.repeat(240)}`,
    'custody.0.1.derby', 'custody.us.0.1', 'custody..0.1.derby', 'custody.a b.0.1.derby', 'heartbeat.us', 'policy.derby',
  ];
  for (const key of refused) expect(parseKey('us', key), key).toBeNull();
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), fc.string(), (region, key) => {
      parseKey(region, key);
    }),
    { numRuns: 300 },
  );
});

test('[REP-18] a document has one key in the log, which the log takes', () => {
  const token = fc.stringMatching(/^[A-Za-z0-9_-]{1,64}$/);
  fc.assert(
    fc.property(fc.array(token, { minLength: 2, maxLength: 4 }), (tokens) => {
      const key = tokens.join('.');
      if (!isDocumentKey(key)) return expect(key.length).toBeGreaterThan(240);
      assertKey(documentKey(key));
      expect(parseKey('us', documentKey(key))).toEqual({ kind: 'document', key });
    }),
    { numRuns: 300 },
  );
});
