/** The JetStream streams of a region, by what they are for, and how to lose one: for those who try what happens then. */

import { NatsUnavailable, connectNats, type NatsConnection } from '../../regions/nats-connection.ts';
import { logStream } from '../../regions/nats-log.ts';
import type { NatsAddress } from '../../regions/topology.ts';
import { CommandFailure } from './failure.ts';

export const STREAM_KINDS = ['log', 'journal', 'windows'] as const;
export type StreamKind = (typeof STREAM_KINDS)[number];

/** Answers the names of the streams that were deleted. @throws CommandFailure, also when there was none */
export async function deleteStreams(region: string, address: NatsAddress, kind: StreamKind): Promise<string[]> {
  try {
    const nats = await connectNats(address, `ovation chaos (${region})`);
    try {
      const names = kind === 'log' ? await logIfAny(nats, region) : await nats.streamNames(kind === 'journal' ? `journal.${region}.*` : `windows.${region}`);
      if (names.length === 0) throw new CommandFailure('no', `the NATS of ${region} has no stream of this kind`);
      for (const name of names) await nats.deleteStream(name);
      return names;
    } finally {
      await nats.close();
    }
  } catch (error) {
    if (error instanceof NatsUnavailable) throw new CommandFailure('unreachable', `the NATS of ${region}: ${error.message}`);
    throw error;
  }
}

async function logIfAny(nats: NatsConnection, region: string): Promise<string[]> {
  const name = logStream(region);
  return (await nats.streamState(name)) === null ? [] : [name];
}
