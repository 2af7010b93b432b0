/** One shard on a real nats-server: crashes of either, with clients that resend what was not acknowledged. */

import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { EmojiId, StreamId } from '../../crdt/ids.ts';
import { Ledger } from '../../crdt/ledger.ts';
import { connectNats } from '../../regions/nats-connection.ts';
import type { Log } from '../../regions/runtime.ts';
import { createAggregator, type Aggregator } from '../../src/aggregator/aggregator.ts';
import { realRuntime } from '../../src/base/runtime.ts';
import type { NatsServer } from '../../src/cli/dev/nats-server.ts';
import { createJetstreamStore } from '../../src/hot-store/jetstream-store.ts';
import { DEFAULT_POLICY } from '../../src/moderation/policy.ts';
import { natsAvailable, startNats } from '../support/nats.ts';

const quiet: Log = { debug() {}, info() {}, warn() {}, error() {} };
const DERBY = 'derby' as StreamId;
const HEART = 'heart' as EmojiId;
const SESSIONS = 50;
const BATCHES = 20;
const TAPS = 2;

interface Life {
  readonly aggregator: Aggregator;
  readonly ledger: Ledger;
  fenced: boolean;
}

/** What every client sent and was told; `resend` says again whatever was not acknowledged yet. */
class Crowd {
  readonly acknowledged = new Map<string, number>();
  duplicates = 0;

  send(life: Life, batches: Iterable<number>): void {
    for (const sequence of batches) {
      for (let session = 0; session < SESSIONS; session++) this.#send(life, session, sequence);
    }
  }

  resend(life: Life): void {
    for (let sequence = 1; sequence <= BATCHES; sequence++) {
      for (let session = 0; session < SESSIONS; session++) {
        if (!this.acknowledged.has(`${session} ${sequence}`)) this.#send(life, session, sequence);
      }
    }
  }

  get taps(): number {
    return [...this.acknowledged.values()].reduce((sum, taps) => sum + taps, 0);
  }

  #send(life: Life, session: number, sequence: number): void {
    const batch = { stream: DERBY, viewer: `v${session}-${sequence}`, device: null, address: null, session: `s${session}`, sequence, reactions: [[HEART, TAPS] as const] };
    life.aggregator.submit(batch, (reply) => {
      if (reply.kind !== 'counted') return;
      this.acknowledged.set(`${session} ${sequence}`, reply.accepted);
      if (reply.duplicate) this.duplicates += 1;
    });
  }
}

const ALL = SESSIONS * BATCHES;

describe.skipIf(!natsAvailable)('aggregator on a real nats-server', () => {
  let server: NatsServer;
  const lives: Life[] = [];

  beforeEach(async () => {
    server = await startNats();
  });
  afterEach(async () => {
    await Promise.all(lives.splice(0).map(({ aggregator }) => aggregator.stop()));
    await server.stop();
  });

  const begin = async (): Promise<Life> => {
    const ledger = new Ledger();
    const hotStore = createJetstreamStore({ region: 'us', shard: 0, address: server.address, log: quiet, bytesMax: 64_000_000 });
    const life: Life = {
      ledger,
      fenced: false,
      aggregator: createAggregator({
        region: 'us',
        shard: 0,
        owns: () => true,
        hotStore,
        ledger,
        policyOf: () => DEFAULT_POLICY,
        runtime: realRuntime,
        log: quiet,
        admission: () => null,
        windowsStoredBefore: () => 0,
        derivedBefore: () => 0,
        onCommit: () => {},
        onFenced: () => {
          life.fenced = true;
        },
        options: { tickMs: 2, batchesPerCommitMax: 16, stopMsMax: 500 },
      }),
    };
    lives.push(life);
    await life.aggregator.start();
    return life;
  };

  const totalOf = ({ ledger }: Life): number => ledger.tally(DERBY)?.counter(HEART)?.value ?? 0;

  it('[AGG-3] loses nothing acknowledged and counts nothing twice when a process is abandoned in the middle', async () => {
    const crowd = new Crowd();
    const first = await begin();
    crowd.send(first, range(1, BATCHES));
    await expect.poll(() => crowd.acknowledged.size, { interval: 1 }).toBeGreaterThan(ALL / 10);
    const before = crowd.taps;
    // Nobody tells the first process: it goes on committing until it is fenced, like a zombie.
    const second = await begin();
    expect(totalOf(second)).toBeGreaterThanOrEqual(before);
    crowd.resend(second);
    await expect.poll(() => crowd.acknowledged.size).toBe(ALL);
    await expect.poll(() => first.fenced || first.aggregator.stats['inbox'] === 0).toBe(true);
    expect(crowd.taps).toBe(ALL * TAPS);
    expect(totalOf(second)).toBe(ALL * TAPS);
    expect(totalOf(await begin())).toBe(ALL * TAPS);
  });

  it('[AGG-6] loses nothing acknowledged and counts nothing twice through kill -9 of nats-server and of the process after it', async () => {
    const crowd = new Crowd();
    const first = await begin();
    crowd.send(first, range(1, BATCHES));
    await expect.poll(() => crowd.acknowledged.size, { interval: 1 }).toBeGreaterThan(ALL / 10);
    await server.kill();
    const before = crowd.acknowledged.size;
    crowd.resend(first);
    await server.restart();
    await expect.poll(() => crowd.acknowledged.size).toBeGreaterThan(Math.min(ALL - 1, before + ALL / 5));
    const second = await begin();
    crowd.resend(second);
    await expect.poll(() => crowd.acknowledged.size).toBe(ALL);
    expect(crowd.taps).toBe(ALL * TAPS);
    expect(totalOf(second)).toBe(ALL * TAPS);
  });

  it('[AGG-8] goes on after its journal was deleted, and a later life still knows every session', async () => {
    const crowd = new Crowd();
    const first = await begin();
    crowd.send(first, range(1, BATCHES - 1));
    await expect.poll(() => crowd.acknowledged.size).toBe(ALL - SESSIONS);
    const nats = await connectNats(server.address, 'test');
    await nats.deleteStream('JOURNAL_us_0');
    await nats.close();
    crowd.resend(first);
    await expect.poll(() => crowd.acknowledged.size).toBe(ALL);
    const second = await begin();
    const again = new Crowd();
    again.send(second, range(1, BATCHES));
    await expect.poll(() => again.acknowledged.size).toBe(ALL);
    expect(again.duplicates).toBe(ALL);
    expect(totalOf(second)).toBe(ALL * TAPS);
  });
});

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from + 1 }, (_, index) => from + index);
}
