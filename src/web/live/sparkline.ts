/** Small charts as SVG paths. Pure. */

/**
 * A line through values at equal steps, from left to right; the top edge is `max`, the bottom 0. Where there
 * is room for more values than there are, the last one still stands at the right edge.
 */
export function linePath(values: readonly number[], width: number, height: number, max: number, room = values.length): string {
  const step = room > 1 ? width / (room - 1) : 0;
  const first = room - values.length;
  return values.map((value, index) => `${index === 0 ? 'M' : 'L'}${round((first + index) * step)} ${round(yOf(value, height, max))}`).join('');
}

/** The same line, closed along the bottom. */
export function areaPath(values: readonly number[], width: number, height: number, max: number): string {
  return values.length === 0 ? '' : `${linePath(values, width, height, max)}L${round(width)} ${height}L0 ${height}Z`;
}

/** The lowest of 1, 2, 5, 10, 20 … that is not below the value, so that a scale does not tremble. */
export function niceCeiling(value: number): number {
  const power = 10 ** Math.floor(Math.log10(Math.max(value, 1)));
  return [1, 2, 5, 10].map((factor) => factor * power).find((candidate) => candidate >= value)!;
}

/** The value in the middle; null of none. */
export function median(values: readonly number[]): number | null {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted.length === 0 ? null : sorted[Math.floor(sorted.length / 2)]!;
}

function yOf(value: number, height: number, max: number): number {
  return height - (height * Math.min(Math.max(value, 0), max)) / max;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
