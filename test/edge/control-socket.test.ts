import { EventEmitter } from 'node:events';
import { describe, expect, it } from 'vitest';
import type { WebSocket } from 'ws';
import * as Y from 'yjs';
import { createControlPlane } from '../../src/moderation/control-plane.ts';
import { DEFAULT_BASE } from '../../src/moderation/policy.ts';
import { setLevel } from '../../src/moderation/policy-doc.ts';
import { ControlSocket } from '../../src/edge/control-socket.ts';
import { CONTROL_LIMITS } from '../../src/edge/options.ts';
import { isAnswer, keepAliveMessage, questionMessage, updateMessage } from '../../src/moderation/sync-protocol.ts';
import { CLOSE_CODES, mayReconnect } from '../../src/protocol/close-codes.ts';
import { createSimulatedRuntime } from '../support/simulated-runtime.ts';

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

function connect(isKept = () => true) {
  const runtime = createSimulatedRuntime(1);
  const stub = new StubSocket();
  const state = { now: 0 };
  const log = { debug() {}, info() {}, warn() {}, error() {} };
  const plane = createControlPlane({ base: DEFAULT_BASE, clock: { now: () => state.now }, log, publish() {} });
  const stats = { sockets: 1, updates: 0, refused: 0, closedByEdge: 0 };
  const socket = new ControlSocket({ plane, isKept, limits: CONTROL_LIMITS, now: () => state.now, timers: runtime.timers, stats }, stub as unknown as WebSocket, 'global', null);
  return { stub, state, socket, stats, runtime };
}

describe('a moderator’s socket', () => {
  const asked = (stub: StubSocket, doc: Y.Doc): void => void stub.emit('message', questionMessage(Y.encodeStateVector(doc)), true);
  const written = (stub: StubSocket, doc: Y.Doc): void => {
    setLevel(doc, 'hearts', { by: 'ada', at: 1 });
    stub.emit('message', updateMessage(Y.encodeStateAsUpdate(doc)), true);
  };
  const answers = ({ sent }: StubSocket): number => sent.filter(isAnswer).length;

  it('[MOD-36] a question is answered once what was written before it is kept, and at once when nothing was', async () => {
    let isKept = false;
    const { stub, runtime } = connect(() => isKept);
    const doc = new Y.Doc();
    asked(stub, doc);
    expect(answers(stub)).toBe(1);
    written(stub, doc);
    asked(stub, doc);
    asked(stub, doc);
    await runtime.runFor(1_000);
    expect(answers(stub)).toBe(1);
    isKept = true;
    await runtime.runFor(100);
    expect(answers(stub)).toBe(3);
    asked(stub, doc);
    expect(answers(stub)).toBe(4);
    expect(runtime.pendingTimers).toBe(0);
  });

  it('[MOD-36] what is not kept within five seconds closes the socket with a code for trying again', async () => {
    const { stub, state, runtime } = connect(() => false);
    const doc = new Y.Doc();
    written(stub, doc);
    asked(stub, doc);
    state.now = 4_900;
    await runtime.runFor(100);
    expect(stub.done).toEqual([]);
    state.now = 5_000;
    await runtime.runFor(100);
    expect(stub.done).toEqual([`close ${CLOSE_CODES.overloaded}`]);
    expect(mayReconnect(CLOSE_CODES.overloaded)).toBe(true);
    expect(answers(stub)).toBe(0);
    expect(runtime.pendingTimers).toBe(0);
  });

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

  it('[MOD-15] pings and pongs that nobody asked for are messages, too', () => {
    for (const kind of ['ping', 'pong']) {
      const { stub } = connect();
      for (let sent = 0; sent < CONTROL_LIMITS.messageBurstMax; sent++) stub.emit(kind);
      expect(stub.done).toEqual(['close 4529']);
    }
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
