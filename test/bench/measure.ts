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
  run(options?: BenchmarkOptions): Promise<Result>;
}

export interface BenchmarkOptions {
  /** A recorded crowd, `t_ms,viewer,emoji,count`, for the rows that can play one. */
  readonly trace?: string | null;
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
  /** Prepares one piece of work, unmeasured, and returns it; it tells how many units it did. */
  prepare(): () => number | Promise<number>;
}

/**
 * Microseconds of CPU per unit of each contender, by name: the median of the rounds, each of so many
 * pieces. The first round warms up and is not counted.
 */
export async function cpuMicrosPerUnit(contenders: readonly Contender[], rounds: number, pieces = 1): Promise<Map<string, number>> {
  const samples = new Map(contenders.map(({ name }): [string, number[]] => [name, []]));
  for (let round = 0; round <= rounds; round++) {
    for (const contender of contenders) {
      collectGarbage();
      const micros = await cpuMicrosOf(contender, pieces);
      if (round > 0) samples.get(contender.name)!.push(micros);
    }
  }
  return new Map([...samples].map(([name, values]) => [name, median(values)]));
}

async function cpuMicrosOf({ prepare }: Contender, pieces: number): Promise<number> {
  let micros = 0;
  let units = 0;
  for (let piece = 0; piece < pieces; piece++) {
    const work = prepare();
    // What was prepared would otherwise be moved out of the nursery at the cost of the work.
    collectGarbage('minor');
    const start = process.cpuUsage();
    units += await work();
    const { user, system } = process.cpuUsage(start);
    micros += user + system;
  }
  return micros / units;
}

/** Runs the garbage collector where Node was started with `--expose-gc`, as `npm run bench` does. */
export function collectGarbage(type: 'major' | 'minor' = 'major'): void {
  const { gc } = globalThis as { gc?: (options?: { type: string }) => void };
  // With `type: 'major'` Node 20 leaves much of the garbage; without options it collects all of it.
  if (type === 'major') gc?.();
  else gc?.({ type });
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
