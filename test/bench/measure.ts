/**
 * How the benchmark measures: CPU time of this process, the contenders taking turns in the same run,
 * the median of the rounds. A figure is worth something only beside another one from the same minutes of
 * the same machine.
 */

/** One row of the table. Each lives in a file of its own. */
export interface Benchmark {
  readonly name: string;
  readonly description: string;
  /** What DESIGN asks for. */
  readonly target: string;
  run(): Promise<Result>;
}

export interface Result {
  /** What was measured, and the baseline beside it. */
  readonly measured: string;
  readonly baseline: string;
  /** The two put together: what the target speaks of. */
  readonly ratio: string;
  readonly reached: boolean;
  /** The numbers behind it, for machines and for the curious. */
  readonly figures: Readonly<Record<string, number>>;
}

/** The row cannot be measured here; the message says what is missing. */
export class NotMeasurable extends Error {
  override readonly name = 'NotMeasurable';
}

export interface Contender {
  readonly name: string;
  /** Prepares one round, unmeasured, and returns the work, which tells how many units it did. */
  prepare(): () => number | Promise<number>;
}

/** Microseconds of CPU per unit of each contender, by name. The first round warms up and is not counted. */
export async function cpuMicrosPerUnit(contenders: readonly Contender[], rounds: number): Promise<Map<string, number>> {
  const samples = new Map(contenders.map(({ name }): [string, number[]] => [name, []]));
  for (let round = 0; round <= rounds; round++) {
    for (const { name, prepare } of contenders) {
      const work = prepare();
      collectGarbage();
      const start = process.cpuUsage();
      const units = await work();
      const { user, system } = process.cpuUsage(start);
      if (round > 0) samples.get(name)!.push((user + system) / units);
    }
  }
  return new Map([...samples].map(([name, values]) => [name, median(values)]));
}

/** Runs the garbage collector where Node was started with `--expose-gc`, as `npm run bench` does. */
export function collectGarbage(): void {
  (globalThis as { gc?: () => void }).gc?.();
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** 1234567 → "1.23 M"; enough digits to compare, none to impress. */
export function readable(value: number): string {
  const units: readonly [number, string][] = [
    [1e9, ' G'],
    [1e6, ' M'],
    [1e3, ' k'],
  ];
  const [divisor, unit] = units.find(([from]) => value >= from) ?? [1, ''];
  const scaled = value / divisor;
  return `${scaled.toFixed(scaled >= 100 ? 0 : scaled >= 10 ? 1 : 2)}${unit}`;
}
