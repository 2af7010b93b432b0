import type { NatsConnection } from '@nats-io/transport-node';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { Pull } from '../../regions/nats-pull.ts';

/** As much of a connection as a pull needs; nobody ever answers. */
function silentServer(): NatsConnection {
  const connection = { subscribe: () => ({ unsubscribe() {} }), publish() {}, closed: () => new Promise<void>(() => {}) };
  return connection as unknown as NatsConnection;
}

describe('a pull', () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  test.each([250, 1_000])('[LOG-11] of which heartbeats are due each %i ms gives up after three seconds of silence, not before', async (heartbeatMs) => {
    let outcome: unknown = null;
    const pull = new Pull(
      silentServer(),
      { stream: 'LOG_us', consumer: 'c', inbox: '_INBOX.c', heartbeatMs, gapless: true },
      { room: () => 100, messages() {} },
    );
    pull.ended.catch((error: unknown) => (outcome = error));
    await vi.advanceTimersByTimeAsync(2_900);
    expect(outcome).toBeNull();
    await vi.advanceTimersByTimeAsync(200);
    expect(String(outcome)).toContain('silent for 3000 ms');
  });
});
