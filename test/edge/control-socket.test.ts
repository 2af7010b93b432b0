import { EventEmitter } from 'node:events';
import { describe, expect, it } from 'vitest';
import type { WebSocket } from 'ws';
import { createControlPlane } from '../../src/moderation/control-plane.ts';
import { DEFAULT_BASE } from '../../src/moderation/policy.ts';
import { ControlSocket } from '../../src/edge/control-socket.ts';
import { CONTROL_LIMITS } from '../../src/edge/options.ts';
import { keepAliveMessage } from '../../src/moderation/sync-protocol.ts';

class StubSocket extends EventEmitter {
  readonly OPEN = 1;
  readonly readyState = 1;
  bufferedAmount = 0;
  readonly sent: Uint8Array[] = [];
  readonly done: string[] = [];
  send(bytes: Uint8Array): void {
    this.sent.push(bytes);
  }
  ping(): void {
    this.done.push('ping');
  }
  close(code: number): void {
    this.done.push(`close ${code}`);
  }
  terminate(): void {
    this.done.push('terminate');
  }
}

function connect() {
  const stub = new StubSocket();
  const state = { now: 0 };
  const log = { debug() {}, info() {}, warn() {}, error() {} };
  const plane = createControlPlane({ base: DEFAULT_BASE, clock: { now: () => state.now }, log, publish() {} });
  const stats = { sockets: 1, updates: 0, refused: 0, closedByEdge: 0 };
  const socket = new ControlSocket({ plane, limits: CONTROL_LIMITS, now: () => state.now, stats }, stub as unknown as WebSocket, 'global', null);
  return { stub, state, socket, stats };
}

describe('a moderator’s socket', () => {
  it('[MOD-15] who does not read is cut before a megabyte and one message wait for it', () => {
    const { stub, socket, stats } = connect();
    socket.tell(new Uint8Array(100), null);
    expect(stub.sent).toHaveLength(2);
    stub.bufferedAmount = 1024 * 1024 + 1;
    socket.tell(new Uint8Array(100), null);
    socket.tell(new Uint8Array(100), null);
    expect(stub.sent).toHaveLength(2);
    expect(stub.done).toEqual(['terminate']);
    expect(stats.closedByEdge).toBe(1);
  });

  it('[MOD-12] hears something at least every ten seconds, or a provider would take it for dead; one that is silent is pinged, then cut', () => {
    const { stub, state, socket } = connect();
    for (state.now = 1_000; state.now <= 60_000; state.now += 1_000) socket.sweep();
    expect(stub.sent.slice(1)).toEqual(Array.from({ length: 6 }, () => keepAliveMessage()));
    expect([...keepAliveMessage()]).toEqual([1, 1, 0]);
    expect(stub.done).toEqual(['ping', 'terminate']);
    const other = connect();
    for (other.state.now = 1_000; other.state.now <= 120_000; other.state.now += 1_000) {
      other.socket.sweep();
      if (other.state.now % 25_000 === 0) other.stub.emit('pong');
    }
    expect(other.stub.done).toEqual([]);
  });
});
