/**
 * Reading the log port's stream on NATS JetStream, and what writer and readers know of it in common. A
 * reader takes a connection per `follow`: whoever doubts connects again and goes on from its own position.
 */

import { LogUnavailable } from './log.ts';
import type { LogPosition, LogReader, LogVisitor } from './log.ts';
import { NatsUnavailable, connectNats, type NatsConnection } from './nats-connection.ts';
import type { NatsAddress } from './topology.ts';

export interface NatsLogReaderOptions {
  /** The peer's NATS, where its log may be read. */
  readonly address: NatsAddress;
  /** The peer. */
  readonly region: string;
  /** Who reads, for the server's monitoring. */
  readonly reader?: string;
}

/**
 * What a removal leaves at the end of the log, outside the grammar of keys; never handed out. A server
 * that restarts takes the last message kept for the end of the stream (measured with 2.9.10): without
 * it, sequences that readers have seen would be given again.
 */
export const REMOVED_KEY = '$removed';

/** The stream that holds a region's log; peers may read it and nothing else. */
export function logStream(region: string): string {
  return `LOG_${region}`;
}

export function createNatsLogReader(options: NatsLogReaderOptions): LogReader {
  return { follow: (from, visitor, signal) => follow(options, from, visitor, signal) };
}

export function subjectPrefix(region: string): string {
  return `log.${region}.`;
}

async function follow(
  { address, region, reader = 'a peer' }: NatsLogReaderOptions,
  from: LogPosition | null,
  visitor: LogVisitor,
  signal: AbortSignal,
): Promise<void> {
  if (signal.aborted) return;
  let abort = (): void => {};
  const aborted = new Promise<void>((resolve) => (abort = resolve));
  signal.addEventListener('abort', abort, { once: true });
  const connecting = connectNats(address, `ovation-${reader}-reads-${region}`);
  const reading = connecting.then((nats) => readFrom(nats, region, from, visitor, signal));
  try {
    // An abort need not wait for a server that does not answer.
    await Promise.race([reading, aborted]);
  } catch (error) {
    if (!signal.aborted) throw logError(logStream(region), error);
  } finally {
    signal.removeEventListener('abort', abort);
    // Also when it connects only after the abort.
    void connecting.then((nats) => nats.close(), () => {});
  }
}

async function readFrom(
  nats: NatsConnection,
  region: string,
  from: LogPosition | null,
  visitor: LogVisitor,
  signal: AbortSignal,
): Promise<void> {
  const stream = logStream(region);
  const prefix = subjectPrefix(region);
  const state = await nats.streamState(stream);
  if (signal.aborted) return;
  if (state === null) throw new LogUnavailable(`there is no ${stream} yet`);
  const incarnation = state.created;
  const resumes = from !== null && from.incarnation === incarnation && from.sequence <= state.lastSequence;
  const start = { incarnation, sequence: resumes ? from.sequence : 0 };
  visitor.started(start);
  const following = nats.follow(
    stream,
    start.sequence,
    (batch) => {
      const messages = batch.map(({ subject, payload, sequence }) => ({ key: subject.slice(prefix.length), payload, sequence }));
      const last = messages.at(-1);
      if (last === undefined) return;
      visitor.batch(messages.filter(({ key }) => key !== REMOVED_KEY), { incarnation, sequence: last.sequence });
    },
    signal,
  );
  // A log created anew between the two calls would be read from the middle, and nobody would notice.
  const verified = nats.streamState(stream).then((now) => {
    if (now?.created !== incarnation) throw new LogUnavailable(`${stream} was created anew`);
    return following;
  });
  await Promise.race([following, verified]);
}

export function logError(stream: string, error: unknown): unknown {
  return error instanceof NatsUnavailable ? new LogUnavailable(`${stream}: ${error.message}`, { cause: error }) : error;
}
