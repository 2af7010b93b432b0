import { describe, expect, it } from 'vitest';
import { changeText, cutOffText, duration } from '../../src/web/console/words.ts';

const NOW = new Date(2026, 4, 5, 20, 0, 0).getTime();
const MINUTE_MS = 60_000;

describe('words of the console', () => {
  it('[CONS-27] tells each change as a sentence, also one that no region heeds', () => {
    const mute = { until: NOW + 60 * MINUTE_MS, by: 'mo', reason: 'a bot', retractFrom: NOW - 10 * MINUTE_MS, at: NOW, liftedAt: null };
    const told = (path: string, after: unknown, before: unknown = null): string => changeText(path, before, after, NOW);
    expect(told('mutes/d1:viewer:bot', mute)).toBe('muted viewer bot until 21:00:00, taking back since 19:50:00: a bot');
    expect(told('mutes/d1:device:a:b', { ...mute, until: null, retractFrom: null, reason: '' })).toBe('muted device a:b for good');
    expect(told('mutes/d1:viewer:bot', { ...mute, until: NOW })).toBe('took back the taps of viewer bot since 19:50:00: a bot');
    expect(told('mutes/d1:viewer:bot', { ...mute, liftedAt: NOW }, mute)).toBe('unmuted viewer bot');
    expect(told('mutes/d1:viewer:bot', null, mute)).toBe('forgot the mute of viewer bot, which was over');
    expect(told('palette/star', { glyph: '⭐', enabled: false })).toBe('emoji star: glyph ⭐, enabled false');
    expect(told('limits/viewer', { tapsPerSecondMax: 5 })).toBe('limit per viewer: taps a second 5');
    expect(told('limits/viewer', null)).toBe('put back the limit per viewer');
    expect(told('stream/state', { value: 'draining' })).toBe('let no new viewers in');
    expect(told('stream/ended', { at: NOW })).toBe('ended the stream');
    expect(told('stream/level', { value: null })).toBe('left the level to the region');
    expect(told('stream/spread', { value: 4 })).toBe('spread the stream over 4 shards');
    expect(told('revoked/eve', { before: NOW })).toBe('revoked the tokens of eve');
    for (const junk of [null, 7, 'x', [], { until: 'soon', at: [], value: {} }]) {
      for (const path of ['mutes/viewer:x', 'palette/x', 'limits/x', 'stream/state', 'stream/x', 'x/y', '', 'x']) expect(told(path, junk, junk)).toEqual(expect.any(String));
    }
  });

  it('[CONS-27] tells how the region stands with its peers', () => {
    const peer = (region: string, staleness_ms: number | null): Parameters<typeof cutOffText>[1][number] => ({ region, connected: true, staleness_ms });
    expect(cutOffText('us', [peer('eu', 90), peer('ap', 4_900)])).toBeNull();
    expect(cutOffText('us', [peer('eu', 12_400), peer('ap', 0)])).toBe('us is cut off from eu for 12 s: your changes hold here and merge later.');
    expect(cutOffText('us', [peer('eu', 180_000), peer('ap', null)])).toBe('us is cut off from eu for 3 min and ap (never heard): your changes hold here and merge later.');
    expect([0, 59_000, 61_000, 2 * 3_600_000, 50 * 3_600_000].map(duration)).toEqual(['0 s', '59 s', '1 min', '2 h', '2 d']);
  });
});
