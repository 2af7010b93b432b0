/**
 * The servers that a region's process talks to, with their faults: hot store, log, window queue, database.
 *
 * They outlive processes. Every answer takes time, and may be a refusal, a refusal of something that was done
 * all the same, or of something that is done later. What really went wrong is counted where it does.
 */

import type { LogMessage, LogReader, LogWriter } from '../../regions/log.ts';
import type { MemoryNetwork } from '../../regions/memory-log.ts';
import { sleep } from '../../regions/runtime.ts';
import { WindowQueueUnavailable, type WindowQueue } from '../../src/analytics/window-queue.ts';
import type { WindowRecord } from '../../src/analytics/window-record.ts';
import { windowRows } from '../../src/analytics/window-rows.ts';
import { WindowStoreUnavailable, type WindowStore } from '../../src/analytics/window-store.ts';
import { HotStoreUnavailable, type Commit, type HotStore } from '../../src/hot-store/hot-store.ts';
import { MemoryJournal, createMemoryStore } from '../../src/hot-store/memory-store.ts';
import type { SimulatedRuntime } from '../support/simulated-runtime.ts';
import type { SimulatedProcess } from './process.ts';

/** What happened, by name. */
export class Counters {
  readonly counts = new Map<string, number>();

  add(name: string, by = 1): void {
    this.counts.set(name, (this.counts.get(name) ?? 0) + by);
  }
}

/** What is wrong with a server now; all of it is switched on and off by the schedule. */
export interface ServerFaults {
  down: boolean;
  /** Share of requests that are done and refused. */
  unknown: number;
  /** Share of requests that are refused and done later. */
  late: number;
  slowMs: number;
}

export const healthy = (): ServerFaults => ({ down: false, unknown: 0, late: 0, slowMs: 0 });

/** What the servers of all regions share. */
export interface Machine {
  readonly runtime: SimulatedRuntime;
  readonly counters: Counters;
  readonly network: MemoryNetwork;
}

export class JournalServer {
  readonly journal = new MemoryJournal();
  readonly faults = healthy();
  readonly #machine: Machine;

  constructor(machine: Machine) {
    this.#machine = machine;
  }

  /** Loses everything but the oldest part. */
  rollBack(share: number): void {
    const commits = [...this.journal.commits()];
    this.journal.wipe();
    for (const commit of commits.slice(0, Math.floor(commits.length * share))) this.journal.append(commit);
  }

  /** What an operator who saves the data folder has. */
  copy(): { restore(): void } {
    const commits = [...this.journal.commits()];
    return {
      restore: () => {
        this.journal.wipe();
        for (const commit of commits) this.journal.append(commit);
      },
    };
  }

  /** `all` are the journals of the region, also of shards that it does not have any more; of it has the first so many. */
  connect(process: SimulatedProcess, all: readonly JournalServer[], shardCount: number): HotStore {
    const { runtime, counters } = this.#machine;
    const { faults } = this;
    const store = createMemoryStore(this.journal, all.map(({ journal }) => journal), shardCount);
    let storedSequence = 0;
    const latency = (): number => 1 + Math.floor(runtime.random.next() * 5) + faults.slowMs;
    const request = <Answer>(name: string, serve: () => Promise<Answer>): Promise<Answer> =>
      process.request(name, latency(), async () => {
        if (faults.down) {
          counters.add('store refused');
          throw new HotStoreUnavailable('the server is down');
        }
        return serve();
      });
    const keep = async (commit: Commit): Promise<void> => {
      await store.commit(commit);
      storedSequence = commit.sequence;
    };
    /** What a crash interrupts nobody has visited. */
    const replaying = (name: string, read: HotStore['recover']): HotStore['recover'] => async (visit) => {
      const commits = await request(name, async () => {
        const found: Commit[] = [];
        await read((commit) => found.push(commit));
        return found;
      });
      for (const commit of commits) visit(commit);
    };
    return {
      recover: replaying('recover', store.recover),
      catchUp: replaying('catch up', store.catchUp),
      begin: (actor) =>
        request('begin', async () => {
          const begun = await store.begin(actor);
          if (!hit(runtime, faults.unknown)) return begun;
          counters.add('begin of unknown outcome');
          throw new HotStoreUnavailable('no answer');
        }),
      commit: (commit) =>
        request('commit', async () => {
          if (hit(runtime, faults.late)) {
            counters.add('commit arrived late');
            runtime.timers.after(200 + runtime.random.next() * 3000, () => {
              // A broker refuses what was overtaken by the expected sequence.
              if (commit.sequence > storedSequence) keep(commit).catch(() => {});
            });
            throw new HotStoreUnavailable('no answer');
          }
          await keep(commit);
          if (!hit(runtime, faults.unknown)) return;
          counters.add('commit of unknown outcome');
          throw new HotStoreUnavailable('no answer');
        }),
      forget: (beforeMs) => request('forget', () => store.forget(beforeMs)),
      close: () => process.request('close', 1, async () => {}),
    };
  }
}

export class QueueServer {
  readonly faults = healthy();
  readonly #machine: Machine;
  readonly #records = new Map<number, WindowRecord>();
  #next = 1;
  #losses = 0;

  constructor(machine: Machine) {
    this.#machine = machine;
  }

  /** The stream is deleted, with all that waits in it. */
  lose(): void {
    if (this.#records.size > 0) this.#machine.counters.add('windows lost by the queue');
    this.#records.clear();
    this.#losses += 1;
  }

  get depth(): number {
    return this.#records.size;
  }

  connect(process: SimulatedProcess): WindowQueue {
    const { runtime, counters } = this.#machine;
    const { faults } = this;
    const records = this.#records;
    const refuse = (): void => {
      if (!faults.down) return;
      counters.add('queue refused');
      throw new WindowQueueUnavailable('the queue is down');
    };
    const latency = (): number => 1 + Math.floor(runtime.random.next() * 10) + faults.slowMs;
    const lossesBefore = this.#losses;
    return {
      open: () => process.request('queue', latency(), async () => refuse()),
      publish: (published) =>
        process.request('publish', latency(), async () => {
          refuse();
          const unknown = hit(runtime, faults.unknown);
          const kept = unknown ? Math.floor(runtime.random.next() * (published.length + 1)) : published.length;
          for (const record of published.slice(0, kept)) records.set(this.#next++, record);
          if (!unknown) return;
          counters.add('windows queued without an answer');
          throw new WindowQueueUnavailable('no answer');
        }),
      consume: async (store, signal) => {
        while (!signal.aborted) {
          const batch = [...records].slice(0, 500);
          if (batch.length === 0) {
            await sleep(process.timers, 300, signal);
            continue;
          }
          const stored = await store(batch.map(([, record]) => record)).then(
            () => true,
            () => false,
          );
          if (!stored) continue;
          await process.request('queue', latency(), async () => {
            if (hit(runtime, faults.unknown)) return counters.add('windows delivered again');
            for (const [id] of batch) records.delete(id);
          });
        }
      },
      losses: () => this.#losses - lossesBefore,
      malformed: () => 0,
      depth: () => records.size,
      close: async () => {},
    };
  }
}

/** One database for all regions, as the migrations make it: of each field the greatest value stays. */
export class DatabaseServer {
  readonly faults = healthy();
  /** stream, emoji, window, actor → counts. */
  readonly rows = new Map<string, { readonly stream: string; readonly emoji: string; readonly actor: string; increments: number; decrements: number }>();
  readonly #machine: Machine;

  constructor(machine: Machine) {
    this.#machine = machine;
  }

  connect(process: SimulatedProcess): WindowStore {
    const { runtime, counters } = this.#machine;
    const { faults } = this;
    return {
      store: (records) =>
        process.request('store', 2 + Math.floor(runtime.random.next() * 20) + faults.slowMs, async () => {
          if (faults.down) {
            counters.add('database refused');
            throw new WindowStoreUnavailable('the database is down');
          }
          if (faults.slowMs > 0) counters.add('database slow');
          for (const row of windowRows(records)) this.#upsert(row);
          if (!hit(runtime, faults.unknown)) return;
          counters.add('windows stored without an answer');
          throw new WindowStoreUnavailable('no answer');
        }),
      history: async () => [],
      stored: async () => [],
      close: async () => {},
    };
  }

  #upsert({ stream, emoji, windowStart, actor, increments, decrements }: ReturnType<typeof windowRows>[number]): void {
    const key = `${stream} ${emoji} ${windowStart} ${actor}`;
    const held = this.rows.get(key);
    if (held === undefined) {
      this.rows.set(key, { stream, emoji, actor, increments, decrements });
      return;
    }
    held.increments = Math.max(held.increments, increments);
    held.decrements = Math.max(held.decrements, decrements);
  }
}

/** What a link does to messages that it carries. Shares of messages. */
export interface LinkFaults {
  lose: number;
  double: number;
  reorder: number;
  stale: number;
}

export class LogServer {
  readonly region: string;
  slowMs = 0;
  /** Share of appends of which a part is kept and which are refused. */
  unknown = 0;
  /** By reading region. */
  readonly links = new Map<string, LinkFaults>();
  /** When it last took in what its writer says, and when a peer last heard of it. */
  appendedAt = -Infinity;
  heardAt = -Infinity;
  readonly #machine: Machine;

  constructor(machine: Machine, region: string) {
    this.#machine = machine;
    this.region = region;
  }

  link(reader: string): LinkFaults {
    let faults = this.links.get(reader);
    if (faults === undefined) this.links.set(reader, (faults = { lose: 0, double: 0, reorder: 0, stale: 0 }));
    return faults;
  }

  writer(process: SimulatedProcess): LogWriter {
    const { runtime, counters, network } = this.#machine;
    const writer = network.writer(this.region);
    const latency = (): number => 1 + Math.floor(runtime.random.next() * 5) + this.slowMs;
    return {
      open: async (visit) => {
        const { messages, opened } = await process.request('open', latency(), async () => {
          const found: LogMessage[] = [];
          return { messages: found, opened: await writer.open((message) => found.push(message)) };
        });
        for (const message of messages) visit(message);
        return opened;
      },
      append: (messages) =>
        process.request('append', latency(), async () => {
          if (hit(runtime, this.unknown)) {
            counters.add('append of unknown outcome');
            network.log(this.region).failNextAppend(Math.floor(runtime.random.next() * (messages.length + 1)));
          }
          await writer.append(messages);
          this.appendedAt = runtime.clock.now();
        }),
      remove: (keys) => process.request('remove', latency(), () => writer.remove(keys)),
      close: () => writer.close(),
    };
  }

  /** Of this region's log, read by a process of another. */
  reader(process: SimulatedProcess, readerRegion: string): LogReader {
    const { network } = this.#machine;
    const inner = network.reader(this.region, readerRegion);
    const faults = this.link(readerRegion);
    return {
      follow: (from, visitor, signal) => {
        const ending = new AbortController();
        process.onKill(() => ending.abort());
        if (signal.aborted) ending.abort();
        else signal.addEventListener('abort', () => ending.abort(), { once: true });
        const last = new Map<string, LogMessage>();
        const held: LogMessage[] = [];
        let broken: unknown = null;
        const following = inner.follow(
          from,
          {
            started: (position) => process.run(() => visitor.started(position)),
            batch: (messages, position) => {
              const passed = this.#pass(messages, faults, last, held);
              process.run(() => {
                if (passed.length > 0) this.heardAt = this.#machine.runtime.clock.now();
                try {
                  visitor.batch(passed, position);
                } catch (error) {
                  broken = error;
                  ending.abort();
                }
              });
            },
          },
          ending.signal,
        );
        return new Promise((resolve, reject) => {
          following.then(
            () => process.run(() => (broken === null ? resolve() : reject(broken))),
            (error: unknown) => process.run(() => reject(error)),
          );
        });
      },
    };
  }

  #pass(messages: readonly LogMessage[], faults: LinkFaults, last: Map<string, LogMessage>, held: LogMessage[]): readonly LogMessage[] {
    const { runtime, counters } = this.#machine;
    const ill = faults.lose + faults.double + faults.reorder + faults.stale > 0;
    if (!ill && held.length === 0) {
      for (const message of messages) last.set(message.key, message);
      return messages;
    }
    const passed: LogMessage[] = [];
    const earlier = held.splice(0);
    for (const message of messages) {
      if (hit(runtime, faults.lose)) {
        counters.add('message lost');
        continue;
      }
      const before = last.get(message.key);
      last.set(message.key, message);
      if (before !== undefined && hit(runtime, faults.stale)) {
        counters.add('message replaced by an older version');
        passed.push(before);
        continue;
      }
      if (hit(runtime, faults.reorder)) {
        counters.add('message out of order');
        held.push(message);
        continue;
      }
      passed.push(message);
      if (hit(runtime, faults.double)) {
        counters.add('message doubled');
        passed.push(message);
      }
    }
    return [...passed, ...earlier];
  }
}

export function hit({ random }: SimulatedRuntime, share: number): boolean {
  return share > 0 && random.next() < share;
}
