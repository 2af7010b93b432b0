import { describe, expect, it } from 'vitest';
import type { StreamId } from '../../crdt/ids.ts';
import { DEFAULT_BASE, InvalidPolicy, parsePolicy, policyOfBase } from '../../src/moderation/policy.ts';

describe('the policy file', () => {
  it('[MOD-1] keeps the default of whatever it does not name', () => {
    expect(parsePolicy({})).toEqual(DEFAULT_BASE);
    const { limits, palette } = parsePolicy({ limits: { viewer: { tapBurstMax: 5 } }, palette: { star: '⭐' } });
    expect(limits).toEqual({ ...DEFAULT_BASE.limits, viewer: { tapsPerSecondMax: 20, tapBurstMax: 5 } });
    expect([...palette]).toEqual([['star', '⭐']]);
  });

  it.each([
    [null, 'a policy'],
    [[], 'a policy'],
    [{ colour: 1 }, '"colour"'],
    [{ limits: { galaxy: {} } }, '"galaxy"'],
    [{ limits: { viewer: { tapBurstMax: 0 } } }, 'limits.viewer.tapBurstMax'],
    [{ limits: { device: { tapsPerSecondMax: '9' } } }, 'limits.device.tapsPerSecondMax'],
    [{ palette: {} }, 'palette'],
    [{ palette: { 'no id': 'x' } }, '"no id"'],
    [{ palette: { heart: '' } }, '"heart"'],
    [{ endedStreams: ['a b'] }, 'endedStreams'],
  ])('[MOD-1] refuses %j and names the place', (document, place) => {
    expect(() => parsePolicy(document)).toThrow(InvalidPolicy);
    expect(() => parsePolicy(document)).toThrow(place);
  });

  it('[MOD-1] ends the streams that it lists, and no other', () => {
    const policyOf = policyOfBase(parsePolicy({ endedStreams: ['over'] }));
    expect(policyOf('over' as StreamId).state).toBe('ended');
    expect(policyOf('derby' as StreamId).state).toBe('live');
    expect(policyOf('derby' as StreamId)).toBe(policyOf('other' as StreamId));
  });
});
