/** The charts: what each emoji did in the last two minutes, and how far the regions were apart. */

import type { Standing } from './books.ts';
import { drawing, element, setAttribute, setText } from './element.ts';
import { SERIES_SECONDS, type Series } from './history.ts';
import { areaPath, linePath, niceCeiling } from './sparkline.ts';

const WIDTH = 240;
const HEIGHT = 44;
const GAP_HEIGHT = 96;
/** Below this the regions are as near as gossip brings them, and the scale does not zoom in any more. */
const GAP_SCALE_MIN = 100;
/** The newest seconds, of which the rate shown beside a chart is the mean. */
const RATE_SECONDS = 3;

const short = new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 });
const whole = new Intl.NumberFormat('en');

export interface RateCharts {
  readonly root: HTMLElement;
  show(palette: Readonly<Record<string, string>>, series: Series): void;
  /** Says why there is nothing newer. */
  fail(): void;
}

export function createRateCharts(): RateCharts {
  const scale = element('span', { class: 'scale' }, 'last 2 minutes');
  const grid = element('div', { class: 'sparks' });
  const root = element('section', { class: 'panel rates', 'aria-label': 'Reactions per second' }, element('div', { class: 'panel-head' }, element('h2', {}, 'Per second'), scale), grid);
  const sparks = new Map<string, ReturnType<typeof createSpark>>();

  return {
    root,
    show(palette, series) {
      const ids = Object.keys(palette);
      if (ids.length !== sparks.size || ids.some((id) => !sparks.has(id))) {
        sparks.clear();
        for (const [index, id] of ids.entries()) sparks.set(id, createSpark(id, palette[id]!, index));
        grid.replaceChildren(...[...sparks.values()].map((spark) => spark.root));
      }
      // One scale for all, so that the charts can be compared.
      const max = niceCeiling(Math.max(5, ...[...series.values()].flat()));
      for (const [id, spark] of sparks) spark.show(series.get(id) ?? [], max);
      setText(scale, `last 2 minutes, each up to ${short.format(max)}/s`);
    },
    fail: () => setText(scale, 'the history does not answer; trying again'),
  };
}

function createSpark(id: string, glyph: string, index: number) {
  const area = drawing('path', { class: 'spark-area' });
  const line = drawing('path', { class: 'spark-line' });
  const art = drawing('svg', { class: 'spark-art', viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: 'none', 'aria-hidden': 'true' }, area, line);
  const rate = element('span', { class: 'spark-rate' }, '0');
  const root = element('div', { class: 'spark', 'data-tint': String(index % 6) }, element('span', { class: 'glyph', 'aria-hidden': 'true' }, glyph), art, rate, element('span', { class: 'visually-hidden' }, `${id} per second`));
  return {
    root,
    show(counts: readonly number[], max: number): void {
      setAttribute(area, 'd', areaPath(counts, WIDTH, HEIGHT, max));
      setAttribute(line, 'd', linePath(counts, WIDTH, HEIGHT, max));
      const newest = counts.slice(-RATE_SECONDS);
      const mean = newest.reduce((sum, count) => sum + count, 0) / RATE_SECONDS;
      setText(rate, mean < 10 ? mean.toFixed(1) : short.format(Math.round(mean)));
    },
  };
}

export interface GapChart {
  readonly root: HTMLElement;
  /** One second more: what each region lacks of what all together have. */
  add(standings: readonly Standing[]): void;
}

/** Hangs from a line that is what all regions hold together: the lower, the more a region lacks. */
export function createGapChart(ids: readonly string[]): GapChart {
  const values = ids.map((): number[] => []);
  const lines = ids.map((_, index) => drawing('path', { class: 'gap-line', 'data-hue': String(index % 3) }));
  const numbers = ids.map(() => element('b', {}, '0'));
  const scale = element('span', { class: 'scale' }, 'taps lacking');
  const floor = element('span', { class: 'gap-floor' });
  const legend = ids.map((id, index) => element('li', { 'data-hue': String(index % 3) }, `${id} `, numbers[index]!));
  const art = drawing('svg', { class: 'gap-art', viewBox: `0 0 ${WIDTH} ${GAP_HEIGHT}`, preserveAspectRatio: 'none', 'aria-hidden': 'true' }, ...lines);
  const root = element(
    'section',
    { class: 'panel gaps', 'aria-label': 'How far the regions are apart' },
    element('div', { class: 'panel-head' }, element('h2', {}, 'How far apart'), scale),
    element('div', { class: 'gap-box' }, art, floor),
    element('ul', { class: 'legend' }, ...legend),
  );

  return {
    root,
    add(standings) {
      for (const [index, { digest, missingTotal }] of standings.entries()) {
        const series = values[index]!;
        // A region that does not answer stands where it stood.
        series.push(digest === null ? (series.at(-1) ?? 0) : missingTotal);
        if (series.length > SERIES_SECONDS) series.shift();
        setText(numbers[index]!, digest === null ? '?' : whole.format(missingTotal));
      }
      const max = niceCeiling(Math.max(GAP_SCALE_MIN, ...values.flat()));
      for (const [index, series] of values.entries()) {
        // Of the time before the page was opened nothing is known.
        setAttribute(lines[index]!, 'd', linePath(series.map((gap) => max - gap), WIDTH, GAP_HEIGHT, max, SERIES_SECONDS));
      }
      setText(floor, `−${short.format(max)}`);
    },
  };
}
