/**
 * A stop under load, as an orchestrator does it: `ovation region` on real NATS gets a SIGTERM while viewers tap, ends in
 * order, is started again, and has counted every tap that it had acknowledged.
 */

import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { WebSocket } from 'ws';
import type { NatsServer } from '../../src/cli/dev/nats-server.ts';
import { natsAvailable, startNats } from '../support/nats.ts';
import { startRegionCommand, type RegionCommand } from '../support/region-command.ts';

const ROOT = path.resolve(import.meta.dirname, '../..');
const VIEWERS = 40;
const TAP_MS = 40;
const DRAIN_SECONDS = 2;
const LONG = { timeout: 180_000 };

const eventually = (check: () => void | Promise<void>): Promise<void> => vi.waitFor(check, { timeout: 60_000, interval: 10 });

/** Taps once in each batch, numbers batches from 1, and keeps what is not answered. */
class Viewer {
  readonly unanswered = new Set<number>();
  accepted = 0;
  goawayAt = 0;
  closedWith = 0;
  isWelcome = false;
  sent = 0;
  #socket: WebSocket | null = null;
  readonly #session: string;

  constructor(session: string) {
    this.#session = session;
  }

  connect(url: string): void {
    const socket = new WebSocket(`${url.replace('http', 'ws')}/streams/derby/reactions`);
    this.#socket = socket;
    socket.on('open', () => {
      socket.send(JSON.stringify({ type: 'hello', session_id: this.#session, viewer_id: this.#session }));
      for (const seq of this.unanswered) this.#send(seq);
    });
    socket.on('message', (data: Buffer) => {
      const message = JSON.parse(data.toString()) as { readonly type: string; readonly seq: number; readonly accepted: number };
      if (message.type === 'welcome') this.isWelcome = true;
      if (message.type === 'goaway') this.goawayAt = performance.now();
      if (message.type === 'ack' && this.unanswered.delete(message.seq)) this.accepted += message.accepted;
    });
    socket.on('close', (code) => (this.closedWith = code));
    socket.on('error', () => {});
  }

  tap(): void {
    // As the SDK: nothing new for a region that goes away.
    if (!this.isWelcome || this.goawayAt > 0) return;
    this.sent += 1;
    this.unanswered.add(this.sent);
    this.#send(this.sent);
  }

  leave(): void {
    this.#socket?.close();
  }

  #send(seq: number): void {
    if (this.#socket?.readyState === WebSocket.OPEN) {
      this.#socket.send(JSON.stringify({ type: 'batch', seq, reactions: [{ emoji_id: 'heart', count: 1 }], timestamp: 1 }));
    }
  }
}

describe.skipIf(!natsAvailable)('a stop under load', () => {
  let nats: NatsServer;
  let region: RegionCommand;

  const start = (environment: Record<string, string> = {}): Promise<RegionCommand> =>
    startRegionCommand({ region: 'us', servers: new Map([['us', nats]]), environment: { OVATION_DRAIN_SECONDS: String(DRAIN_SECONDS), ...environment } });

  beforeAll(async () => {
    // Nothing is done when the build is of these very sources.
    const { status, stdout } = spawnSync(process.execPath, [path.join(ROOT, 'deploy/local/build.mjs')], { encoding: 'utf8' });
    expect(status, stdout).toBe(0);
    nats = await startNats();
  });
  afterAll(async () => {
    region?.child.kill('SIGKILL');
    await region?.ended;
    await nats?.stop();
  });

  it('[E2E-20] readiness goes first, viewers are sent away over time, the process ends, and what it acknowledged is counted', LONG, async () => {
    region = await start();
    const viewers = Array.from({ length: VIEWERS }, (_, index) => new Viewer(`viewer-${index}`));
    for (const viewer of viewers) viewer.connect(region.url);
    await eventually(() => expect(viewers.every(({ isWelcome }) => isWelcome)).toBe(true));
    const tapping = setInterval(() => viewers.forEach((viewer) => viewer.tap()), TAP_MS);
    const accepted = (): number => viewers.reduce((sum, viewer) => sum + viewer.accepted, 0);
    try {
      await eventually(() => expect(accepted()).toBeGreaterThan(2 * VIEWERS));
      expect((await fetch(`${region.adminUrl}/readyz`)).status).toBe(200);
      const toldAt = performance.now();
      region.child.kill('SIGTERM');

      await eventually(async () => expect((await fetch(`${region.adminUrl}/readyz`)).status).toBe(503));
      // Whom a load balancer sends meanwhile is served.
      const late = new Viewer('late');
      viewers.push(late);
      late.connect(region.url);
      await eventually(() => expect(late.isWelcome).toBe(true));
      expect(viewers.filter(({ goawayAt }) => goawayAt > 0)).toEqual([]);
      expect((await fetch(`${region.adminUrl}/livez`)).status).toBe(200);

      expect(await region.ended, region.output()).toBe(0);
      const tookMs = performance.now() - toldAt;
      expect(tookMs).toBeGreaterThan(1000 * DRAIN_SECONDS);
      expect(tookMs).toBeLessThan(30_000);
      expect(viewers.map(({ closedWith }) => closedWith)).toEqual(viewers.map(() => 1012));
      const goaways = viewers.map(({ goawayAt }) => goawayAt - toldAt);
      expect(Math.min(...goaways)).toBeGreaterThan(500 * DRAIN_SECONDS);
      expect(Math.max(...goaways) - Math.min(...goaways)).toBeGreaterThan(250 * DRAIN_SECONDS);
    } finally {
      clearInterval(tapping);
    }

    const acknowledgedBefore = accepted();
    region = await start({ OVATION_DRAIN_SECONDS: '20' });
    const total = async (): Promise<number> => {
      const { totals } = (await (await fetch(`${region.url}/streams/derby/reactions`)).json()) as { readonly totals: Record<string, number> };
      return totals['heart'] ?? 0;
    };
    const unanswered = viewers.reduce((sum, viewer) => sum + viewer.unanswered.size, 0);
    expect(await total()).toBeGreaterThanOrEqual(acknowledgedBefore);
    expect(await total()).toBeLessThanOrEqual(acknowledgedBefore + unanswered);
    for (const viewer of viewers) viewer.connect(region.url);
    await eventually(() => expect(viewers.every((viewer) => viewer.unanswered.size === 0)).toBe(true));
    await eventually(async () => expect(await total()).toBe(accepted()));
    for (const viewer of viewers) viewer.leave();
  });

  it('[E2E-21] a second signal ends a stop at once, whatever it waits for', LONG, async () => {
    await eventually(() => {
      region.child.kill('SIGTERM');
      expect(region.child.exitCode).toBe(130);
    });
  });
});
