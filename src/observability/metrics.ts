/**
 * Metrics in the text format of Prometheus.
 *
 * Components keep plain `stats` objects of numbers and know nothing of metrics; the numbers are read
 * when somebody scrapes. Names are `reactions_<component>_<field>` in base units; labels have few
 * values (regions, shards), never a viewer, stream or emoji. Node's own figures, the event loop's
 * delay among them (`nodejs_eventloop_lag_*`), keep the names that dashboards know.
 */

import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';

type StatKind = 'counter' | 'gauge';
/** Few values each: `{ shard: '0' }`. */
export type Labels = Readonly<Record<string, string>>;

export interface Metrics {
  /**
   * Shows every field of a component's stats from now on: counters, but for the gauges named. Fields named
   * `…Ms` and `…Bytes` become seconds and bytes. A component registered again under other labels (shards)
   * adds to the same metrics.
   */
  registerStats<Field extends string>(
    component: string,
    read: () => { readonly [field in Field]: number },
    gauges: readonly NoInfer<Field>[],
    labels?: Labels,
  ): void;
  /** A gauge per key of a record that is read at each scrape; keys whose value is null are left out. */
  registerGaugePerKey(name: string, help: string, label: string, read: () => Readonly<Record<string, number | null>>): void;
  observeCommitMs(durationMs: number): void;
  observeAckMs(durationMs: number): void;
  observeFrameMs(durationMs: number): void;
  render(): Promise<{ readonly contentType: string; readonly body: string }>;
}

type Stats = Readonly<Record<string, number>>;

interface Source {
  readonly labels: Labels;
  /** The fields of one component are read from one object a scrape: making it may cost something. */
  readonly read: () => Stats;
  readonly field: string;
  readonly scale: number;
}

/** From a commit in memory to a client on the far side of a slow disk. */
const LATENCY_BUCKETS_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5];

export function createMetrics({ region, version }: { readonly region: string; readonly version: string }): Metrics {
  const registry = new Registry();
  registry.setDefaultLabels({ region });
  collectDefaultMetrics({ register: registry });
  new Gauge({
    name: 'reactions_build_info',
    help: 'Always 1; what runs here.',
    labelNames: ['version', 'node'],
    registers: [registry],
  }).set({ version, node: process.versions.node }, 1);

  const commit = latency('reactions_commit_seconds', 'From taking a batch to its durable commit.');
  const ack = latency('reactions_ack_seconds', 'From reading a batch off the wire to its acknowledgement.');
  const frame = latency('reactions_frame_seconds', 'Time to make and hand out the frames of one tick.');
  const sources = new Map<string, Source[]>();
  let scrapes = 0;

  function oncePerScrape(read: () => Stats): () => Stats {
    let stats: Stats = {};
    let readIn = -1;
    return () => {
      if (readIn !== scrapes) stats = read();
      readIn = scrapes;
      return stats;
    };
  }

  function latency(name: string, help: string): Histogram {
    return new Histogram({ name, help, buckets: LATENCY_BUCKETS_SECONDS, registers: [registry] });
  }

  function addSource(name: string, help: string, kind: StatKind, source: Source): void {
    const known = sources.get(name);
    if (known !== undefined) {
      known.push(source);
      return;
    }
    const list = [source];
    sources.set(name, list);
    const settings = {
      name,
      help,
      labelNames: Object.keys(source.labels),
      registers: [],
      // Sources of equal labels add up. The value is absolute, so each scrape starts from nothing.
      collect(this: Counter | Gauge): void {
        this.reset();
        for (const { labels, read, field, scale } of list) this.inc(labels, read()[field]! * scale);
      },
    };
    registry.registerMetric(kind === 'counter' ? new Counter(settings) : new Gauge(settings));
  }

  return {
    registerStats(component, readStats, gauges, labels = {}) {
      const read = oncePerScrape(readStats);
      for (const field of Object.keys(readStats()) as (typeof gauges)[number][]) {
        const kind = gauges.includes(field) ? 'gauge' : 'counter';
        const { name, scale } = metricName(component, field, kind);
        addSource(name, `${component}: ${words(field).join(' ')}.`, kind, { labels, read, field, scale });
      }
    },

    registerGaugePerKey(name, help, label, read) {
      const gauge = new Gauge({
        name,
        help,
        labelNames: [label],
        registers: [],
        collect() {
          this.reset();
          for (const [key, value] of Object.entries(read())) if (value !== null) this.set({ [label]: key }, value);
        },
      });
      registry.registerMetric(gauge);
    },

    observeCommitMs: (durationMs) => commit.observe(durationMs / 1000),
    observeAckMs: (durationMs) => ack.observe(durationMs / 1000),
    observeFrameMs: (durationMs) => frame.observe(durationMs / 1000),

    render: async () => {
      scrapes += 1;
      return { contentType: registry.contentType, body: await registry.metrics() };
    },
  };
}

/** `reactions_replicator_rows_published_total` of `rowsPublished`, `…_oldest_dirty_seconds` of `oldestDirtyMs`. */
export function metricName(component: string, field: string, kind: StatKind): { readonly name: string; readonly scale: number } {
  const parts = words(field);
  const inMs = parts.at(-1) === 'ms';
  if (inMs) parts[parts.length - 1] = 'seconds';
  const name = ['reactions', ...words(component), ...parts, ...(kind === 'counter' ? ['total'] : [])].join('_');
  return { name, scale: inMs ? 1 / 1000 : 1 };
}

/** The words of a camelCase or kebab-case name, in lower case. */
function words(name: string): string[] {
  return name
    .replaceAll(/([a-z0-9])([A-Z])/g, '$1 $2')
    .split(/[\s_-]+/)
    .map((word) => word.toLowerCase());
}
