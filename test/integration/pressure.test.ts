/**
 * Pressure that only a process has: the buffers of real sockets, and a heap that is nearly full. The region is `ovation region` on a
 * real nats-server; what it does is read from the frames of a viewer whose link is good, and from its metrics and log.
 */

import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { WebSocket } from 'ws';
import { HOLD, UP } from '../../src/broadcaster/degradation.ts';
import { LEVELS, type Level } from '../../src/broadcaster/frame-feed.ts';
import type { NatsServer } from '../../src/cli/dev/nats-server.ts';
import { PALETTE_MAX } from '../../src/moderation/policy.ts';
import { natsAvailable, startNats } from '../support/nats.ts';
import { startRegionCommand, type RegionCommand } from '../support/region-command.ts';
import { compilerAvailable, startSlowViewers, type SlowViewers } from '../support/slow-viewers.ts';

const ROOT = path.resolve(import.meta.dirname, '../..');
const LONG = { timeout: 180_000 };
/** As large as frames come. */
const EMOJI = Array.from({ length: PALETTE_MAX }, (_, index) => `emoji-${index}-`.padEnd(64, 'x'));
/** A region without viewers fills about half of it. */
const HEAP_MB = 48;
const JOINING = 250;
const VIEWERS_MAX = 6_000;
const LIMIT = { tapsPerSecondMax: 100_000, tapBurstMax: 100_000 };

/** Of the level, as the log has it. */
interface Change {
  readonly from: Level;
  readonly to: Level;
  readonly behindShare: number;
  readonly memoryShare: number;
}

let folder: string;
let nats: NatsServer;
let region: RegionCommand;
const open: WebSocket[] = [];
const crowds: SlowViewers[] = [];

const eventually = (check: () => void | Promise<void>): Promise<void> => vi.waitFor(check, { timeout: 60_000, interval: 20 });

async function start(...nodeOptions: string[]): Promise<void> {
  const environment = { OVATION_POLICY_FILE: path.join(folder, 'policy.json') };
  region = await startRegionCommand({ region: 'us', servers: new Map([['us', nats]]), environment, nodeOptions });
}

async function metric(name: string): Promise<number> {
  const text = await (await fetch(`${region.adminUrl}/metrics`)).text();
  return Number(new RegExp(`^reactions_${name}\\{[^}]*\\} (.*)$`, 'm').exec(text)?.[1]);
}

/** What the log says of each change of the level. */
function changes(): Change[] {
  const lines = region.output().split('\n').filter((line) => line.includes('changes its level'));
  return lines.map((line) => JSON.parse(line));
}

/** Whether its memory alone was reason enough to go down to this level. */
function isForMemory({ to, memoryShare }: Change): boolean {
  return memoryShare >= (UP.memoryShare[LEVELS.indexOf(to) - 1] ?? Infinity);
}

/** A viewer whose link is good; answers the levels of the frames that came, each once in a row. */
async function watch(): Promise<readonly string[]> {
  const levels: string[] = [];
  const socket = new WebSocket(`${region.url.replace('http', 'ws')}/streams/derby/reactions`);
  open.push(socket);
  socket.on('message', (data: Buffer) => {
    const { type, level } = JSON.parse(data.toString()) as { readonly type: string; readonly level: string };
    if (type === 'frame' && level !== levels.at(-1)) levels.push(level);
  });
  await new Promise((resolve) => socket.once('message', resolve));
  return levels;
}

let posts = 0;

/** Once each of all emoji, by another viewer each time. */
async function tapAll(): Promise<void> {
  posts += 1;
  const body = JSON.stringify(EMOJI.map((id) => ({ stream_id: 'derby', viewer_id: `viewer-${posts}`, emoji_id: id, count_since_last: 1, timestamp: 1 })));
  const answer = await fetch(`${region.url}/reactions`, { method: 'POST', headers: { 'content-type': 'application/json' }, body });
  expect(answer.status).toBe(202);
}

describe.skipIf(!natsAvailable)('a region under pressure', () => {
  beforeAll(async () => {
    // Nothing is done when the build is of these very sources.
    const { status, stdout } = spawnSync(process.execPath, [path.join(ROOT, 'deploy/local/build.mjs')], { encoding: 'utf8' });
    expect(status, stdout).toBe(0);
    folder = mkdtempSync(path.join(tmpdir(), 'ovation-pressure-'));
    const policy = { palette: Object.fromEntries(EMOJI.map((id) => [id, '❤️'])), limits: { viewer: LIMIT, address: LIMIT } };
    writeFileSync(path.join(folder, 'policy.json'), JSON.stringify(policy));
    nats = await startNats();
  });
  afterEach(async () => {
    for (const socket of open.splice(0)) socket.terminate();
    for (const crowd of crowds.splice(0)) await crowd.leave();
    region.child.kill('SIGKILL');
    await region.ended;
  });
  afterAll(async () => {
    await nats?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  it.skipIf(!compilerAvailable)('[LOAD-13] goes down the ladder when half of the sockets do not take in what is sent, and up when they are gone', LONG, async () => {
    await start();
    const levels = await watch();
    const crowd = await startSlowViewers(region.url, 'derby', 100);
    crowds.push(crowd);
    await tapAll();
    await eventually(() => expect(levels).toEqual(['exact']));
    crowd.slow(50, 0);
    await eventually(async () => {
      await tapAll();
      expect(levels.at(-1)).toBe('relaxed');
    });
    expect(await metric('ladder_level')).toBeGreaterThan(0);
    expect(await metric('edge_behind')).toBeGreaterThanOrEqual(25);
    expect(changes()[0]).toMatchObject({ from: 'exact', to: 'relaxed' });
    expect(changes()[0]!.behindShare).toBeGreaterThanOrEqual(0.25);

    await crowd.leave();
    await eventually(() => expect(levels.at(-1)).toBe('exact'));
    expect(await metric('ladder_level')).toBe(0);
    expect(await metric('edge_behind')).toBe(0);
  });

  it.skipIf(!compilerAvailable)('[LOAD-14] goes down the ladder when its memory is nearly full, and up when what filled it is gone', LONG, async () => {
    await start(`--max-old-space-size=${HEAP_MB}`, '--max-semi-space-size=1');
    const levels = await watch();
    await tapAll();
    await eventually(() => expect(levels).toEqual(['exact']));
    // How much a viewer takes, and a region without any, depends on the version of Node.
    while (!changes().some(isForMemory)) {
      expect(crowds.length * JOINING).toBeLessThan(VIEWERS_MAX);
      crowds.push(await startSlowViewers(region.url, 'gala', JOINING));
      // A crowd that comes makes the region late, too, and it may go down for that; this passes.
      await eventually(async () => expect(levels.at(-1) === 'exact' || (await metric('ladder_memory_share')) >= HOLD.memoryShare[0]).toBe(true));
    }
    await eventually(() => expect(levels.at(-1)).not.toBe('exact'));
    expect(await metric('ladder_level')).toBeGreaterThan(0);

    await Promise.all(crowds.map((crowd) => crowd.leave()));
    // It counts as full until the garbage was collected.
    await eventually(() => expect(levels.at(-1)).toBe('exact'));
    expect(await metric('ladder_memory_share')).toBeLessThan(0.75);
  });
});
