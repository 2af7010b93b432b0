/** What every store of the audit trail promises, on a database that was just migrated. */

import { describe, expect, it } from 'vitest';
import type { ChangeStore, PolicyChange } from '../../src/analytics/policy-changes.ts';

const START_MS = Date.UTC(2026, 10, 22, 12);

export function changeStoreContract(name: string, store: () => ChangeStore): void {
  const change = (id: string, fields: Partial<PolicyChange> = {}): PolicyChange => ({
    id: `us/${id}`,
    at: START_MS,
    region: 'us',
    document: 'stream.derby',
    by: 'ada',
    path: 'mutes/d1:viewer:ann',
    before: null,
    after: { until: null, reason: `"; DROP TABLE policy_changes; -- <b>'é${'\\u0000'}` },
    ...fields,
  });

  describe(`the audit trail on ${name}`, () => {
    it('[MOD-21] a change is stored once however often it is tried, and read back as it was, newest first', async () => {
      const changes = [
        change('1'),
        change('2', { at: START_MS + 1, before: { a: [1, 'x'] }, after: null }),
        change('3', { at: START_MS + 2, document: 'global', path: 'stream/level', after: 'hearts' }),
      ];
      await store().storeChanges(changes);
      await store().storeChanges([...changes, change('4', { at: START_MS + 3, after: 7 })]);
      expect(await store().changes('stream.derby', 10)).toEqual([change('4', { at: START_MS + 3, after: 7 }), changes[1], changes[0]]);
      expect(await store().changes('stream.derby', 1)).toHaveLength(1);
      expect(await store().changes('global', 10)).toEqual([changes[2]]);
      expect(await store().changes("' OR 1=1", 10)).toEqual([]);
    });
  });
}
