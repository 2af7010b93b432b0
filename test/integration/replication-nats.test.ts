/**
 * Replication on real nats-servers: three regions, each with its own, reading each other over links that
 * break. One world for the whole file: every fault must leave books and documents as the next one expects
 * them.
 */

import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parseEmojiId, parseStreamId } from '../../crdt/ids.ts';
import { connectNats } from '../../regions/nats-connection.ts';
import { createNatsLogReader, createNatsLogWriter, logStream } from '../../regions/nats-log.ts';
import { realRuntime } from '../../src/base/runtime.ts';
import { startLinkProxy, type LinkProxy } from '../../src/cli/dev/link-proxy.ts';
import type { NatsServer } from '../../src/cli/dev/nats-server.ts';
import { REGIONS, RegionProcess } from '../regions/replicator-world.ts';
import { livedTime } from '../support/lived-time.ts';
import { natsAvailable, startNats } from '../support/nats.ts';

const STREAMS = 40;
const servers = new Map<string, NatsServer>();
/** `us>eu` carries the log of us to eu. */
const links = new Map<string, LinkProxy>();
const processes = new Map<string, RegionProcess>();
/** stream → taps that count. */
const truth = new Map<string, number>();
let backup: string;

function regionProcess(name: string): RegionProcess {
  return processes.get(name)!;
}

async function boot(name: string): Promise<void> {
  const readers = REGIONS.filter((peer) => peer !== name).map((peer) => {
    const address = { ...servers.get(peer)!.peerAddress, url: `nats://127.0.0.1:${links.get(`${peer}>${name}`)!.port}` };
    return [peer, createNatsLogReader({ address, region: peer, reader: name })] as const;
  });
  const writer = createNatsLogWriter({ address: servers.get(name)!.address, region: name, maxBytes: 64 * 1024 * 1024 });
  // Short, so that the log is rid of removed documents while it is looked at.
  const process = new RegionProcess(name, realRuntime, writer, new Map(readers), { tombstoneMs: 1000 });
  processes.set(name, process);
  await process.boot(() => realRuntime.clock.now());
}

/** Taps in every region, each on streams of its choice, and documents that come, change and go. */
function crowd(taps = 100): void {
  const some = (of: number): number => Math.floor(Math.random() * of);
  for (const process of processes.values()) {
    process.notes.write(`note.n${some(5)}`, process.name);
    for (let page = 0; page < 5; page += 1) process.pages.put(`page.p${some(20)}`, `${Math.random()}`.repeat(50));
    for (let page = 0; page < 3; page += 1) process.pages.drop(`page.p${some(20)}`);
    for (let tap = 0; tap < taps; tap++) {
      const stream = `s${Math.floor(Math.random() * STREAMS)}`;
      process.count(stream, 'heart', 1);
      truth.set(stream, (truth.get(stream) ?? 0) + 1);
    }
  }
}

/** Everything counted is in the region's own log. */
async function published(...names: readonly string[]): Promise<void> {
  for (const name of names) {
    await expect.poll(() => regionProcess(name).replicator.rowsWaiting(), { timeout: 60_000, interval: 10 }).toBe(0);
  }
}

/** What is not as it should be, in words; empty when all regions hold the truth. */
function differences(): string[] {
  const found: string[] = [];
  const ledgers = [...processes.values()].map(({ ledger }) => ledger);
  for (const region of REGIONS) {
    if (new Set(ledgers.map((ledger) => ledger.regionDigest(region))).size > 1) found.push(`digests of ${region}`);
  }
  const all = [...processes.values()];
  if (new Set(all.map(({ notes }) => notes.toString())).size > 1) found.push('notes');
  for (const { name } of all) if (new Set(all.map(({ pages }) => pages.of(name))).size > 1) found.push(`pages of ${name}`);
  const emoji = parseEmojiId('heart');
  for (const [name, { ledger }] of processes) {
    for (const [stream, taps] of truth) {
      const held = ledger.tally(parseStreamId(stream))?.counter(emoji)?.value ?? 0;
      if (held !== taps) found.push(`${name} ${stream}: ${held} of ${taps}`);
    }
  }
  return found;
}

async function converge(timeout = 15_000): Promise<void> {
  await expect.poll(differences, { timeout, interval: 20 }).toEqual([]);
}

function cut(a: string, b: string): void {
  links.get(`${a}>${b}`)!.cut();
  links.get(`${b}>${a}`)!.cut();
}

function heal(a: string, b: string): void {
  links.get(`${a}>${b}`)!.heal();
  links.get(`${b}>${a}`)!.heal();
}

/** Waits until a region has not heard of its peer for so long. */
async function stale(name: string, peer: string, forMs: number): Promise<void> {
  await expect
    .poll(() => regionProcess(name).replicator.staleness()[peer], { timeout: forMs + 10_000, interval: 20 })
    .toBeGreaterThan(forMs);
}

describe.skipIf(!natsAvailable)('replication on nats-servers', () => {
  beforeAll(async () => {
    backup = mkdtempSync(path.join(os.tmpdir(), 'ovation-backup-'));
    await Promise.all(REGIONS.map(async (region) => servers.set(region, await startNats({ region }))));
    for (const from of REGIONS) {
      for (const to of REGIONS) {
        if (from === to) continue;
        links.set(`${from}>${to}`, await startLinkProxy({ targetHost: '127.0.0.1', targetPort: servers.get(from)!.port }));
      }
    }
    await Promise.all(REGIONS.map(boot));
  });

  afterAll(async () => {
    await Promise.all([...processes.values()].map(({ replicator }) => replicator.stop()));
    await Promise.all([...links.values()].map((link) => link.close()));
    await Promise.all([...servers.values()].map((server) => server.stop()));
    rmSync(backup, { recursive: true, force: true });
  });

  test('[REP-4] all regions hold the truth after a cut, while the others never noticed', async () => {
    crowd();
    await converge();
    cut('us', 'eu');
    for (let wave = 0; wave < 10; wave++) {
      crowd();
      await published(...REGIONS);
    }
    await expect.poll(() => regionProcess('ap').ledger.regionDigest('us')).toBe(regionProcess('us').ledger.regionDigest('us'));
    await stale('eu', 'us', 4000);
    await stale('us', 'eu', 4000);
    expect(differences()).not.toEqual([]);
    heal('us', 'eu');
    await converge();
  });

  test('[REP-4] all regions hold the truth after flapping', async () => {
    for (let flap = 0; flap < 6; flap++) {
      const [a, b] = [REGIONS[flap % 3]!, REGIONS[(flap + 1) % 3]!];
      cut(a, b);
      crowd();
      await stale(a, b, flap % 2 === 0 ? 300 : 1200);
      heal(a, b);
      await published(...REGIONS);
    }
    await converge();
  });

  test('[REP-18, REP-20] a document reaches all regions within two seconds, and a log is rid of removed ones', async () => {
    const since = livedTime();
    regionProcess('us').pages.put('page.large', 'x'.repeat(64 * 1024));
    await expect.poll(() => REGIONS.every((name) => regionProcess(name).pages.of('us').includes('page.large')), { interval: 5 }).toBe(true);
    expect(since.ms()).toBeLessThan(2000);
    since.stop();
    crowd();
    regionProcess('us').pages.drop('page.large');
    await converge();
    const removed = async (): Promise<string[]> => {
      const nats = await connectNats(servers.get('us')!.address, 'test');
      const keys: string[] = [];
      await nats.replay(logStream('us'), ({ subject, payload }) => {
        if (subject.includes('.doc.') && payload.length === 0) keys.push(subject);
      });
      await nats.close();
      return keys;
    };
    await expect.poll(removed, { interval: 200 }).toEqual([]);
    await converge();
  });

  test('[REP-10] a nats-server killed while taps are counted costs nothing', async () => {
    crowd();
    const server = servers.get('us')!;
    await server.kill();
    crowd();
    // At home and between the others counting goes on.
    await published('eu', 'ap');
    expect(regionProcess('us').replicator.oldestDirtyMs()).toBeGreaterThan(0);
    await server.restart();
    crowd();
    await converge();
  });

  test('[REP-10, REP-22] a rolled-back folder is given again what it lost, by the process that lives', async () => {
    const server = servers.get('us')!;
    const store = path.join(server.storeDir, 'jetstream');
    await server.kill();
    cpSync(store, backup, { recursive: true });
    await server.restart();
    crowd();
    await converge();
    await server.kill();
    rmSync(store, { recursive: true });
    cpSync(backup, store, { recursive: true });
    await server.restart();
    crowd();
    await converge();
    expect(regionProcess('us').replicator.stats.losses).toBe(1);
  });

  test('[REP-10, REP-22] a deleted stream is given everything again', async () => {
    await published('eu');
    const nats = await connectNats(servers.get('eu')!.address, 'vandal');
    await nats.deleteStream(logStream('eu'));
    await nats.close();
    crowd();
    await converge(20_000);
    await expect.poll(() => regionProcess('us').replicator.peers().every(({ digestEqual }) => digestEqual)).toBe(true);
    expect(regionProcess('eu').replicator.stats.losses).toBe(1);
  });

  test('[REP-10, REP-11, REP-22] a rolled-back folder under a process that has lost its ledger too', async () => {
    crowd();
    await converge(20_000);
    await regionProcess('us').kill();
    processes.delete('us');
    const server = servers.get('us')!;
    await server.kill();
    const store = path.join(server.storeDir, 'jetstream');
    rmSync(store, { recursive: true });
    cpSync(backup, store, { recursive: true });
    await server.restart();
    await boot('us');
    expect(differences()).not.toEqual([]);
    crowd();
    await converge(20_000);
    await published('us');
    const [us, eu] = [regionProcess('us'), regionProcess('eu')];
    await expect.poll(() => eu.replicator.peers().find(({ region }) => region === 'us')?.digestEqual).toBe(true);
    expect(us.clashes).toEqual([]);
    expect([...processes.values()].some(({ fenced }) => fenced)).toBe(false);
  });
});
