import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createAdminServer, type AdminServer } from '../../src/observability/admin-server.ts';
import { createHealth, type Health } from '../../src/observability/health.ts';
import { createMetrics, metricName, type Metrics } from '../../src/observability/metrics.ts';

let health: Health;
let metrics: Metrics;
let server: AdminServer;
let url: string;

beforeEach(async () => {
  health = createHealth();
  metrics = createMetrics({ region: 'us', version: '1.2.3' });
  server = createAdminServer({ host: '127.0.0.1', port: 0, health, metrics });
  url = `http://127.0.0.1:${(await server.listen()).port}`;
});

afterEach(() => server.stop());

async function get(path: string): Promise<{ status: number; body: unknown }> {
  const response = await fetch(url + path);
  return { status: response.status, body: await response.json() };
}

async function scrape(): Promise<string[]> {
  const response = await fetch(`${url}/metrics`);
  expect(response.headers.get('content-type')).toContain('text/plain');
  return (await response.text()).split('\n');
}

describe('probes', () => {
  it('[OBS-3] answer 200 while nothing is wrong', async () => {
    expect(await get('/livez')).toEqual({ status: 200, body: { status: 'alive', reasons: {} } });
    expect(await get('/readyz')).toEqual({ status: 200, body: { status: 'ready', reasons: {} } });
  });

  it('[OBS-3] answer 503 with every reason, and 200 again when it is gone', async () => {
    let broker: string | null = 'no connection to the own log for 4 s';
    health.addReadiness('log', () => broker);
    health.addReadiness('shard 0', () => {
      throw new Error('no shard');
    });
    health.addReadiness('edge', () => null);
    const { status, body } = await get('/readyz');
    expect(status).toBe(503);
    expect(body).toEqual({
      status: 'not ready',
      reasons: { log: broker, 'shard 0': 'the check itself failed: Error: no shard' },
    });
    expect((await get('/livez')).status).toBe(200);
    broker = null;
    health.addReadiness('shard 0', () => null);
    expect((await get('/readyz')).status).toBe(200);
  });

  it('[OBS-3] a fenced process is neither live nor ready; a draining one is live', async () => {
    health.drain();
    expect((await get('/livez')).status).toBe(200);
    expect((await get('/readyz')).status).toBe(503);
    health.addLiveness('fence', () => 'another process writes as this region');
    expect((await get('/livez')).status).toBe(503);
    expect((await get('/readyz')).body).toMatchObject({ reasons: { fence: expect.any(String), drain: expect.any(String) } });
  });

  it('serve nothing else', async () => {
    const response = await fetch(`${url}/reactions`);
    expect(response.status).toBe(404);
    expect(response.headers.get('content-type')).toContain('application/problem+json');
    expect(await response.json()).toMatchObject({ type: 'urn:ovation:problem:not-found' });
  });
});

describe('metrics', () => {
  it('[OBS-4] show the stats of components as they are at the scrape', async () => {
    const stats = { rowsPublished: 3, oldestDirtyMs: 1_500, queueBytes: 12 };
    metrics.registerStats('replicator', () => stats, ['oldestDirtyMs', 'queueBytes']);
    const before = await scrape();
    expect(before).toContain('reactions_replicator_rows_published_total{region="us"} 3');
    expect(before).toContain('# TYPE reactions_replicator_rows_published_total counter');
    expect(before).toContain('reactions_replicator_oldest_dirty_seconds{region="us"} 1.5');
    expect(before).toContain('reactions_replicator_queue_bytes{region="us"} 12');
    stats.rowsPublished = 10;
    stats.oldestDirtyMs = 0;
    const after = await scrape();
    expect(after).toContain('reactions_replicator_rows_published_total{region="us"} 10');
    expect(after).toContain('reactions_replicator_oldest_dirty_seconds{region="us"} 0');
  });

  it('[OBS-4] read the stats of a component once a scrape, however many fields they have', async () => {
    let reads = 0;
    metrics.registerStats('counted', () => ({ reads: (reads += 1), doubled: 2 * reads }), []);
    const atRegistering = reads;
    const lines = await scrape();
    expect(reads).toBe(atRegistering + 1);
    expect(lines).toContain(`reactions_counted_reads_total{region="us"} ${reads}`);
    expect(lines).toContain(`reactions_counted_doubled_total{region="us"} ${2 * reads}`);
    await scrape();
    expect(reads).toBe(atRegistering + 2);
  });

  it('[OBS-4] keep shards apart by label, and add up what has the same labels', async () => {
    metrics.registerStats('aggregator', () => ({ accepted: 1, sessions: 5 }), ['sessions'], { shard: '0' });
    metrics.registerStats('aggregator', () => ({ accepted: 2, sessions: 6 }), ['sessions'], { shard: '1' });
    metrics.registerStats('aggregator', () => ({ accepted: 4, sessions: 1 }), ['sessions'], { shard: '1' });
    const lines = await scrape();
    expect(lines).toContain('reactions_aggregator_accepted_total{shard="0",region="us"} 1');
    expect(lines).toContain('reactions_aggregator_accepted_total{shard="1",region="us"} 6');
    expect(lines).toContain('reactions_aggregator_sessions{shard="1",region="us"} 7');
  });

  it('[OBS-4] have a gauge per peer, latencies in seconds, the build and the event loop', async () => {
    let staleness: Record<string, number | null> = { eu: 0.25, ap: null };
    metrics.registerGaugePerKey('reactions_peer_staleness_seconds', 'Age of the last word.', 'peer', () => staleness);
    metrics.observeCommitMs(7);
    metrics.observeAckMs(12);
    metrics.observeFrameMs(0.4);
    const lines = await scrape();
    expect(lines).toContain('reactions_peer_staleness_seconds{peer="eu",region="us"} 0.25');
    expect(lines.filter((line) => line.includes('peer="ap"'))).toEqual([]);
    expect(lines).toContain('reactions_commit_seconds_bucket{le="0.005",region="us"} 0');
    expect(lines).toContain('reactions_commit_seconds_bucket{le="0.01",region="us"} 1');
    expect(lines).toContain('reactions_ack_seconds_count{region="us"} 1');
    expect(lines).toContain('reactions_frame_seconds_count{region="us"} 1');
    expect(lines.some((line) => line.startsWith('reactions_build_info{version="1.2.3"'))).toBe(true);
    expect(lines.some((line) => line.startsWith('nodejs_eventloop_lag_p99_seconds'))).toBe(true);
    staleness = { ap: 3 };
    expect((await scrape()).filter((line) => line.startsWith('reactions_peer_staleness_seconds'))).toEqual([
      'reactions_peer_staleness_seconds{peer="ap",region="us"} 3',
    ]);
  });

  it('[OBS-5] names end in the unit, and counters in `_total`', () => {
    expect(metricName('hot-store', 'bytesWritten', 'counter').name).toBe('reactions_hot_store_bytes_written_total');
    expect(metricName('edge', 'openSockets', 'gauge').name).toBe('reactions_edge_open_sockets');
    expect(metricName('edge', 'busyMs', 'counter')).toEqual({ name: 'reactions_edge_busy_seconds_total', scale: 0.001 });
  });
});
