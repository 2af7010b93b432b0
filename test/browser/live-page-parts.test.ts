import { describe, expect, it } from 'vitest';
import { judgeAgreement } from '../../src/web/live/agreement.ts';
import { standingsOf, type Books } from '../../src/web/live/books.ts';
import { dotsPath, isLand } from '../../src/web/live/continents.ts';
import { CROWD_MAX, positionOf, SLIDER_MAX, tapsAt } from '../../src/web/live/crowd-scale.ts';
import { describeCrowd } from '../../src/web/live/crowd.ts';
import type { CrowdStatus } from '../../src/web/live/dev-api.ts';
import { describeStaleness } from '../../src/web/live/facts.ts';
import { SERIES_SECONDS, seriesOf } from '../../src/web/live/history.ts';
import { viewLink } from '../../src/web/live/links.ts';
import { describeLoss } from '../../src/web/live/player.ts';
import { areaPath, linePath, median, niceCeiling } from '../../src/web/live/sparkline.ts';
import { arcBetween, MAP_HEIGHT, MAP_WIDTH, placeRegions, project } from '../../src/web/live/world.ts';
import { TAPS_PER_SECOND_MAX } from '../../src/cli/dev/random-crowd.ts';

describe('books on the live page', () => {
  const entry = (actor: string, emoji_id: string, increments: number): Books['entries'][number] => ({ actor, emoji_id, increments, decrements: 0 });
  const us: Books = { region: 'us', digest: 'aa', entries: [entry('us/0/1', 'heart', 10), entry('eu/0/1', 'heart', 3), entry('eu/0/1', 'fire', 1)] };
  const eu: Books = { region: 'eu', digest: 'bb', entries: [entry('us/0/1', 'heart', 4), entry('eu/0/1', 'heart', 5), entry('eu/0/2', 'fire', 2), entry('eu/0/1', 'fire', 1)] };

  it('[PAGE-8] a region lacks what all together hold and it does not, told by where it was tapped', () => {
    const [atUs, atEu] = standingsOf([us, eu]);
    expect(atUs).toMatchObject({ digest: 'aa', sameAs: [], missingTotal: 4 });
    expect([...atUs!.missing]).toEqual([['eu', 4]]);
    expect([...atEu!.missing]).toEqual([['us', 6]]);
  });

  it('[PAGE-8] equal books lack nothing and say of whom they are the equals', () => {
    const standings = standingsOf([us, { ...us, region: 'ap' }, null]);
    expect(standings.map(({ sameAs }) => sameAs)).toEqual([['ap'], ['us'], []]);
    expect(standings.map(({ missingTotal }) => missingTotal)).toEqual([0, 0, 0]);
    expect(standings[2]!.digest).toBeNull();
  });

  it('[PAGE-8] a region that answered a moment before the others does not lack its own taps', () => {
    const later: Books = { region: 'eu', digest: 'cc', entries: [entry('us/0/1', 'heart', 11)] };
    expect(standingsOf([us, later])[0]!.missingTotal).toBe(0);
  });

  it('[PAGE-8] the agreement says who differs from whom, or by how much, and calls it diverged only while a link is cut', () => {
    const ids = ['us', 'eu', 'ap'];
    const agreed = standingsOf([us, { ...us, region: 'eu' }, { ...us, region: 'ap' }]);
    const parted = standingsOf([us, eu, { ...us, region: 'ap' }]);
    const scattered = standingsOf([us, eu, { ...us, region: 'ap', digest: 'dd' }]);
    expect(judgeAgreement(ids, agreed, true)).toEqual({ state: 'agree', text: 'All regions agree' });
    expect(judgeAgreement(ids, parted, true)).toEqual({ state: 'diverged', text: 'Diverged: us = ap ≠ eu' });
    expect(judgeAgreement(ids, scattered, true)).toEqual({ state: 'diverged', text: 'Diverged by 6 taps' });
    expect(judgeAgreement(ids, parted, false)).toEqual({ state: 'converging', text: 'In step: 6 taps on the way' });
    expect(judgeAgreement(ids, standingsOf([us, null, us]), true)).toEqual({ state: 'unknown', text: 'No answer from eu' });
  });

  it('[PAGE-5] a peer is in step, behind, lost, or nobody knows', () => {
    expect(describeStaleness('eu', 900)).toEqual({ text: 'eu: in step', state: 'fresh' });
    expect(describeStaleness('eu', 4_210)).toEqual({ text: 'eu: 4.2 s behind', state: 'behind' });
    expect(describeStaleness('eu', 61_000)).toEqual({ text: 'eu: 61.0 s behind', state: 'lost' });
    expect(describeStaleness('eu', null).state).toBe('lost');
    expect(describeStaleness('eu', undefined).state).toBe('unknown');
  });
});

describe('map of the live page', () => {
  const isOnMap = ({ x, y }: { x: number; y: number }): boolean => x >= 0 && x <= MAP_WIDTH && y >= 0 && y <= MAP_HEIGHT;

  it('[PAGE-9] usual regions lie where they are, in the middle of three equal columns', () => {
    const places = [...placeRegions(['us', 'eu', 'ap']).values()];
    for (const [index, { x, y }] of places.entries()) {
      expect(x).toBeCloseTo((MAP_WIDTH * (index + 0.5)) / 3, 0);
      const { longitude, latitude } = project.inverse(x, y);
      expect(isLand(longitude, latitude)).toBe(true);
    }
  });

  it('[PAGE-9] any sixteen regions have places of their own on the map, and arcs whose labels can be seen', () => {
    const ids = ['us', 'us-west', 'eu', 'eu-north-1', ...Array.from({ length: 12 }, (_, index) => `region${index}`)];
    const places = [...placeRegions(ids).values()];
    expect(places).toHaveLength(16);
    expect(places.every(isOnMap)).toBe(true);
    expect(new Set(places.map(({ x, y }) => `${Math.round(x)} ${Math.round(y)}`)).size).toBe(16);
    for (const from of places) for (const to of places) expect(arcBetween(from, to).middle.y).toBeGreaterThan(0);
    expect([...placeRegions(['us-west']).values()]).toEqual([...placeRegions(['us']).values()]);
  });

  it('an arc runs from one to the other and back, and rises more the farther they are', () => {
    const [a, b, c] = [{ x: 100, y: 200 }, { x: 300, y: 200 }, { x: 900, y: 200 }];
    expect(arcBetween(a, b).path).toMatch(/^M100 200Q200 [\d.]+ 300 200$/);
    expect(arcBetween(a, b).back).toMatch(/^M300 200Q200 [\d.]+ 100 200$/);
    expect(arcBetween(a, c).middle.y).toBeLessThan(arcBetween(a, b).middle.y);
  });

  it.each([
    ['Kansas', -98, 39, true],
    ['Brazil', -52, -10, true],
    ['Mali', 0, 17, true],
    ['Germany', 10, 51, true],
    ['Sichuan', 104, 31, true],
    ['Australia', 134, -25, true],
    ['the Atlantic', -35, 30, false],
    ['the Pacific', 170, 10, false],
    ['the Indian Ocean', 78, -10, false],
    ['the Mediterranean', 18, 35, false],
    ['the Caspian', 51, 42, false],
  ])('%s is where it should be', (_, longitude, latitude, land) => {
    expect(isLand(longitude, latitude)).toBe(land);
  });

  it('the land is a few thousand dots in one path', () => {
    const dots = dotsPath(MAP_WIDTH, MAP_HEIGHT).split('h0').length - 1;
    expect(dots).toBeGreaterThan(1_500);
    expect(dots).toBeLessThan(4_000);
  });
});

describe('links of the live page', () => {
  const link = (from: string, to: string, state: 'up' | 'cut' | 'delayed', delay_ms = 0) => ({ from, to, state, delay_ms });

  it('[PAGE-5] a link shows the worse of its directions', () => {
    expect(viewLink('us', 'eu', [link('us', 'ap', 'cut'), link('us', 'eu', 'up')])).toEqual({ state: 'up', word: 'up', action: 'heal' });
    expect(viewLink('us', 'eu', [link('us', 'eu', 'up'), link('eu', 'us', 'cut')])).toMatchObject({ state: 'cut', word: 'cut' });
    expect(viewLink('us', 'eu', [link('us', 'eu', 'delayed', 80), link('eu', 'us', 'delayed', 150)])).toEqual({ state: 'delayed', word: '+150 ms', action: 'delay' });
    expect(viewLink('us', 'eu', [link('eu', 'us', 'delayed', 80), link('us', 'eu', 'cut', 80)]).state).toBe('cut');
  });
});

describe('taps of the live page', () => {
  it('[PAGE-3] says what became of taps that are not counted for sure, and nothing of frames that were missed', () => {
    expect(describeLoss({ reason: 'in-doubt', taps: 3 })).toBe('3 taps unanswered: counted once or not at all');
    expect(describeLoss({ reason: 'dropped', taps: 1 })).toBe('1 tap not counted');
    expect(describeLoss({ reason: 'reconnected', taps: 0 })).toBe('');
  });
});

describe('charts of the live page', () => {
  it('[PAGE-10] a line goes from the left edge to the right one, with the scale at the top', () => {
    expect(linePath([0, 5, 10, 20], 90, 40, 10)).toBe('M0 40L30 20L60 0L90 0');
    expect(areaPath([10, 0], 90, 40, 10)).toBe('M0 0L90 40L90 40L0 40Z');
    expect(linePath([], 90, 40, 10)).toBe('');
    expect(linePath([5], 90, 40, 10)).toBe('M0 20');
    expect(linePath([5, 0], 90, 40, 10, 4)).toBe('M60 20L90 40');
  });

  it('a scale is round and never too low', () => {
    expect([0, 1, 1.1, 5, 6, 99, 100, 101, 2_400].map(niceCeiling)).toEqual([1, 1, 2, 5, 10, 100, 100, 200, 5_000]);
  });

  it('the median of none is nothing', () => {
    expect(median([])).toBeNull();
    expect(median([9, 1, 5])).toBe(5);
    expect(median([1, 2, 3, 400])).toBe(3);
  });

  it('[PAGE-10] every second of two minutes has its place, and those without taps are 0', () => {
    const to = Date.UTC(2026, 0, 1, 12);
    const at = (secondsBefore: number) => new Date(to - secondsBefore * 1000).toISOString();
    const points = [
      { emoji_id: 'heart', window_start: at(SERIES_SECONDS), count: 7 },
      { emoji_id: 'heart', window_start: at(1), count: 3 },
      { emoji_id: 'fire', window_start: at(2), count: 1 },
      { emoji_id: 'fire', window_start: at(SERIES_SECONDS + 1), count: 99 },
      { emoji_id: 'fire', window_start: at(0), count: 99 },
    ];
    const series = seriesOf({ points }, to);
    expect(series.get('heart')).toHaveLength(SERIES_SECONDS);
    expect(series.get('heart')!.at(0)).toBe(7);
    expect(series.get('heart')!.at(-1)).toBe(3);
    expect(series.get('fire')!.reduce((sum, count) => sum + count)).toBe(1);
  });
});

describe('crowd of the live page', () => {
  const off: CrowdStatus = { mode: 'off', stream: null, taps_per_second: 0, viewers: 0, tapped: 0, acknowledged: 0, clamped: 0, refused: 0, replay: null, problem: null };

  it('[PAGE-11] the slider goes from nobody to the most that a dev plays, and back to where it was', () => {
    expect(tapsAt(0)).toBe(0);
    expect(tapsAt(SLIDER_MAX)).toBe(CROWD_MAX);
    expect(CROWD_MAX).toBe(TAPS_PER_SECOND_MAX);
    for (let position = 0; position <= SLIDER_MAX; position++) {
      expect(tapsAt(position)).toBeGreaterThanOrEqual(tapsAt(Math.max(0, position - 1)));
      // Rounded to whole taps at the low end, where neighbours can be the same.
      if (position >= 25) expect(positionOf(tapsAt(position))).toBe(position);
    }
  });

  it('[PAGE-11] says who taps, where, how far a replay is, and why it ended', () => {
    expect(describeCrowd({ ...off, mode: 'random', stream: 'demo', viewers: 1_250 }, 'demo')).toBe('1,250 viewers over all regions');
    expect(describeCrowd({ ...off, mode: 'random', stream: 'derby', viewers: 12 }, 'demo')).toContain('on stream derby');
    const replay = { name: 'final.csv', speed: 5, at_ms: 65_400, length_ms: 90_000 };
    expect(describeCrowd({ ...off, mode: 'replay', stream: 'demo', viewers: 9, tapped: 1_234, replay }, 'demo')).toBe('final.csv at 5×: 1:05, 9 viewers, 1,234 taps');
    expect(describeCrowd({ ...off, problem: 'line 3: broken' }, 'demo')).toBe('line 3: broken');
  });
});
