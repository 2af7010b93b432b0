/** What the parts of one world share: who lives in it, on what, and what is said against them. */

import type { StreamId } from '../../crdt/ids.ts';
import type { Client, ClientFaults, SentBatch } from './clients.ts';
import type { Scenario } from './faults.ts';
import type { Moderator } from './moderators.ts';
import type { DatabaseServer, Machine } from './servers.ts';
import { ENDED_GRACE_MS, type SimulatedRegion } from './simulated-region.ts';

export interface Inhabitants extends Machine {
  readonly scenario: Scenario;
  readonly streams: readonly StreamId[];
  readonly database: DatabaseServer;
  readonly regions: ReadonlyMap<string, SimulatedRegion>;
  readonly clients: readonly Client[];
  readonly moderators: readonly Moderator[];
  readonly clientFaults: ClientFaults;
  readonly violated: (what: string) => void;
}

/** All that viewers ever sent. */
export function* batchesOf({ clients }: Inhabitants): Generator<SentBatch> {
  for (const client of clients) yield* client.batches;
}

/** What every region counts of each, in one text: equal texts, equal counts. */
export function digestsOf({ regions }: Pick<Inhabitants, 'regions'>): string {
  return [...regions.values()].map(({ current }) => [...regions.keys()].map((region) => current?.ledger.regionDigest(region)).join()).join(' ');
}

/** Whether a stream ended so long ago that it may be forgotten. */
export function isOver({ moderators, runtime }: Inhabitants, stream: StreamId): boolean {
  return (moderators[0]!.ended.get(stream) ?? Infinity) + ENDED_GRACE_MS <= runtime.clock.now();
}
