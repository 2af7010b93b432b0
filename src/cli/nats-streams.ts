/** The JetStream streams of a region, by what they are for, and how to lose one: for those who try what happens then. */

import { NatsUnavailable, connectNats } from '../../regions/nats-connection.ts';
import { logStream } from '../../regions/nats-log.ts';
import type { NatsAddress } from '../../regions/topology.ts';
import { CommandFailure } from './failure.ts';

export const STREAM_KINDS = ['log', 'journal', 'windows'] as const;
export type StreamKind = (typeof STREAM_KINDS)[number];

/** Answers the names of the streams that were deleted. @throws CommandFailure */
export async function deleteStreams(region: string, address: NatsAddress, kind: StreamKind): Promise<string[]> {
  try {
    const nats = await connectNats(address, `ovation chaos (${region})`);
    try {
      const names = kind === 'log' ? [logStream(region)] : await nats.streamNames(kind === 'journal' ? `journal.${region}.*` : `windows.${region}`);
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
