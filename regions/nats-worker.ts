/**
 * Working off a JetStream work queue, a part of the NATS driver: fetch ahead, hand over one batch at a
 * time, acknowledge what was handled, give back what was not.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { AckPolicy, DeliverPolicy } from '@nats-io/jetstream';
import type { ConsumerConfig, JetStreamManager } from '@nats-io/jetstream';
import { createInbox, nanos } from '@nats-io/transport-node';
import type { NatsConnection as Core } from '@nats-io/transport-node';
import { unavailable } from './nats-publisher.ts';
import { Pull, type PulledMessage } from './nats-pull.ts';

export interface WorkOptions {
  readonly batchMax: number;
  readonly signal: AbortSignal;
  /** When a batch that was not handled comes again. Default 2 s. */
  readonly retryMs?: number;
}

/** What the consumer holds unacknowledged, and for how long before it comes again. */
const UNACKED_MAX = 20_000;
const ACK_WAIT_MS = 15_000;
const HEARTBEAT_MS = 1_000;
const FLUSH_MS = 500;

/** @throws NatsUnavailable */
export async function workOff(
  core: Core,
  manager: JetStreamManager,
  stream: string,
  durable: string,
  handle: (messages: PulledMessage[], postpone: (message: object) => void) => Promise<void>,
  { batchMax, signal, retryMs = 2_000 }: WorkOptions,
): Promise<void> {
  await ensureConsumer(manager, stream, durable);
  if (signal.aborted) return;
  const room = Math.min(batchMax, UNACKED_MAX / 2);
  let queue: PulledMessage[] = [];
  let wake: () => void = () => {};
  const source = { stream, consumer: durable, inbox: createInbox(), heartbeatMs: HEARTBEAT_MS, gapless: false };
  const pull = new Pull(core, source, {
    room: () => room - queue.length,
    messages: (batch) => {
      queue.push(...batch);
      wake();
    },
  });
  const stop = (): void => pull.stop();
  signal.addEventListener('abort', stop, { once: true });
  pull.ended.then(() => wake(), () => wake());
  try {
    while (pull.running) {
      if (queue.length === 0) {
        await new Promise<void>((resolve) => (wake = resolve));
        continue;
      }
      const batch = queue;
      queue = [];
      pull.refill();
      const postponed = new Set<object>();
      const isHandled = await handle(batch, (message) => postponed.add(message)).then(() => true, () => false);
      const again = batch.filter((message) => !isHandled || postponed.has(message));
      answer(core, batch.filter((message) => !again.includes(message)), '+ACK');
      answer(core, again, `-NAK {"delay": ${nanos(retryMs)}}`);
    }
    await pull.ended;
  } catch (error) {
    throw unavailable(`work on ${stream}`, error);
  } finally {
    pull.stop();
    signal.removeEventListener('abort', stop);
    await giveBack(core, queue);
  }
}

/** So that the next worker need not wait; flushed, as closing the connection drops what is still to be sent. */
async function giveBack(core: Core, messages: readonly PulledMessage[]): Promise<void> {
  if (core.isClosed()) return;
  answer(core, messages, '-NAK');
  // A server that does not answer is not waited for.
  await Promise.race([core.flush().catch(() => {}), sleep(FLUSH_MS)]);
}

function answer(core: Core, messages: readonly PulledMessage[], verdict: string): void {
  for (const message of messages) core.publish(message.reply, verdict);
}

async function ensureConsumer(manager: JetStreamManager, stream: string, durable: string): Promise<void> {
  const config: Partial<ConsumerConfig> = {
    durable_name: durable,
    ack_policy: AckPolicy.Explicit,
    deliver_policy: DeliverPolicy.All,
    ack_wait: nanos(ACK_WAIT_MS),
    max_ack_pending: UNACKED_MAX,
  };
  try {
    await manager.consumers.add(stream, config).catch(() => manager.consumers.update(stream, durable, config));
  } catch (error) {
    throw unavailable(`consumer ${durable} of ${stream}`, error);
  }
}
