/** A moderator's end of a document, against a region that answers when the test lets it. */

import * as fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import * as Y from 'yjs';
import { SyncStopped, syncDocument, type DocumentSync, type SyncSocket } from '../../src/moderation/sync-client.ts';
import { answerMessage, questionMessage, readSyncMessage, updateMessage } from '../../src/moderation/sync-protocol.ts';
import { createSimulatedRuntime, type SimulatedRuntime } from '../support/simulated-runtime.ts';

/** One connection; what the client says waits until it is delivered. */
class Wire implements SyncSocket {
  binaryType = 'blob';
  onopen: ((event: never) => void) | null = null;
  onmessage: ((event: never) => void) | null = null;
  onclose: ((event: never) => void) | null = null;
  onerror: ((event: never) => void) | null = null;
  readonly said: Uint8Array[] = [];
  readonly protocols: readonly string[];
  isClosed = false;
  constructor(protocols: readonly string[]) {
    this.protocols = protocols;
  }
  send(bytes: Uint8Array): void {
    this.said.push(bytes);
  }
  close(): void {
    this.isClosed = true;
  }
  open(): void {
    this.onopen?.({} as never);
  }
  say(bytes: Uint8Array): void {
    this.onmessage?.({ data: Uint8Array.from(bytes).buffer } as never);
  }
  end(code: number, reason = ''): void {
    if (!this.isClosed) this.onclose?.({ code, reason } as never);
    this.isClosed = true;
  }
}

class World {
  readonly doc = new Y.Doc();
  readonly region = new Y.Doc();
  readonly wires: Wire[] = [];
  readonly sync: DocumentSync;
  token: string | null = null;
  changes = 0;

  constructor(runtime: SimulatedRuntime) {
    this.sync = syncDocument({
      doc: this.doc,
      url: 'ws://us/control/stream.derby',
      token: () => this.token,
      open: (_url, protocols) => {
        const wire = new Wire(protocols);
        this.wires.push(wire);
        return wire;
      },
      runtime,
      onChange: () => (this.changes += 1),
    });
  }

  get wire(): Wire {
    return this.wires.at(-1)!;
  }

  /** As the region greets: with a question of its own. */
  greet(): void {
    this.wire.open();
    this.wire.say(questionMessage(Y.encodeStateVector(this.region)));
  }

  /** The region hears the next message, and answers. False when there is none. */
  deliver(): boolean {
    const bytes = this.wire.said.shift();
    if (bytes === undefined) return false;
    const message = readSyncMessage(bytes);
    if (message.kind === 'update') Y.applyUpdate(this.region, message.update);
    else if (message.kind === 'question') this.wire.say(answerMessage(Y.encodeStateAsUpdate(this.region, message.vector)));
    return true;
  }

  deliverAll(): void {
    while (this.deliver());
  }

  edit(key: string): void {
    this.doc.getMap('palette').set(key, { glyph: key });
  }
}

describe('a moderator’s end of a document', () => {
  let runtime: SimulatedRuntime;
  let world: World;
  beforeEach(() => {
    runtime = createSimulatedRuntime(3);
    world = new World(runtime);
  });

  it('[CONS-4] an edit is pending until an answer proves that the region has it', async () => {
    world.greet();
    world.deliverAll();
    expect(world.sync).toMatchObject({ pending: 0, state: { kind: 'live' } });
    world.edit('a');
    expect(world.sync.pending).toBe(1);
    world.deliver();
    expect(world.region.getMap('palette').has('a')).toBe(true);
    expect(world.sync.pending).toBe(1);
    world.edit('b');
    // The question that is on its way was asked before the second edit.
    world.deliver();
    expect(world.sync.pending).toBe(1);
    const settled = world.sync.settled();
    world.deliverAll();
    await settled;
    expect(world.sync.pending).toBe(0);
  });

  it('[CONS-4] whoever waits for an edit to be confirmed is told when the document is let go of', async () => {
    world.greet();
    world.deliverAll();
    world.edit('a');
    const waiting = expect(world.sync.settled()).rejects.toBeInstanceOf(SyncStopped);
    world.sync.stop();
    await waiting;
    await expect(world.sync.settled()).rejects.toBeInstanceOf(SyncStopped);
  });

  it('[CONS-4] what is edited while the region is away is kept, and sent once it said what it has', async () => {
    world.edit('early');
    world.wire.open();
    world.edit('later');
    // An update that builds on what the region lacks would be refused.
    expect(world.wire.said.map((bytes) => readSyncMessage(bytes).kind)).toEqual(['question']);
    world.wire.end(1006);
    expect(world.sync).toMatchObject({ pending: 2, state: { kind: 'offline' } });
    await runtime.runFor(1_000);
    world.region.getMap('palette').set('theirs', {});
    world.greet();
    world.deliverAll();
    expect(world.sync).toMatchObject({ pending: 0, state: { kind: 'live' } });
    expect([...world.region.getMap('palette').keys()].sort()).toEqual(['early', 'later', 'theirs']);
    expect(world.doc.getMap('palette').has('theirs')).toBe(true);
    const said = world.wire.said.length;
    const theirs = new Y.Doc();
    theirs.getMap('palette').set('more', {});
    world.wire.say(updateMessage(Y.encodeStateAsUpdate(theirs)));
    expect(world.doc.getMap('palette').has('more')).toBe(true);
    // What the region says is no edit.
    expect([world.sync.pending, world.wire.said.length]).toEqual([0, said]);
  });

  it('[CONS-4] whatever is edited, lost and delayed, nothing is called confirmed that the region lacks, and all arrives', async () => {
    const step = fc.oneof(
      { weight: 3, arbitrary: fc.constant('edit' as const) },
      { weight: 6, arbitrary: fc.constant('deliver' as const) },
      fc.constant('lose' as const),
      { weight: 2, arbitrary: fc.constant('greet' as const) },
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
        const time = createSimulatedRuntime(5);
        const one = new World(time);
        let edits = 0;
        for (const each of steps) {
          if (each === 'edit') one.edit(`e${edits++}`);
          else if (each === 'deliver') one.deliver();
          else if (each === 'greet' && one.sync.state.kind === 'connecting' && one.wire.said.length === 0) one.greet();
          else if (each === 'lose') {
            one.wire.end(1006);
            await time.runUntil(() => one.sync.state.kind === 'connecting');
          }
          const has = one.region.getMap('palette').size;
          expect(has).toBeGreaterThanOrEqual(edits - one.sync.pending);
        }
        one.wire.end(1006);
        await time.runUntil(() => one.sync.state.kind === 'connecting');
        one.greet();
        one.deliverAll();
        expect(one.sync.pending).toBe(0);
        expect(one.region.getMap('palette').size).toBe(edits);
        one.sync.stop();
      }),
      { numRuns: 200 },
    );
  });

  it('[CONS-5] a refusal is not repeated until asked to, and what was edited goes with the next token', async () => {
    world.token = 'old';
    world.edit('a');
    world.wire.end(4401, 'The token has expired; get a new one.');
    const settled = expect(world.sync.settled()).rejects.toMatchObject({ code: 4401, message: 'The token has expired; get a new one.' });
    await runtime.runFor(60_000);
    await settled;
    expect(world.wires).toHaveLength(1);
    expect(world.sync).toMatchObject({ pending: 1, state: { kind: 'refused', code: 4401 } });
    world.token = 'new';
    world.sync.retry();
    expect(world.wire.protocols).toEqual(['ovation.control.v1', 'ovation.token.new']);
    world.greet();
    world.deliverAll();
    expect(world.sync).toMatchObject({ pending: 0, state: { kind: 'live' } });
  });

  it('[CONS-5] a region that does not answer, or says what is no document, is left and tried again, ever more seldom', async () => {
    await runtime.runFor(12_000);
    expect(world.wires[0]!.isClosed).toBe(true);
    expect(world.wires.length).toBeGreaterThan(1);
    world.greet();
    world.deliverAll();
    world.wire.say(Uint8Array.of(9, 9, 9));
    expect(world.sync.state.kind).toBe('offline');
    const before = world.wires.length;
    for (let loss = 0; loss < 12; loss++) {
      await runtime.runFor(11_000);
      world.wire.end(1006);
    }
    // One connection at a time: each was lost before the next was tried.
    expect(world.wires.slice(0, -1).every(({ isClosed }) => isClosed)).toBe(true);
    expect(world.wires.length - before).toBeLessThanOrEqual(12);
    world.sync.stop();
    await runtime.runFor(60_000);
    expect(world.wires.every(({ isClosed }) => isClosed)).toBe(true);
  });

  it('[CONS-5] silence of half a minute ends a connection', async () => {
    world.greet();
    world.deliverAll();
    const live = world.wire;
    await runtime.runFor(29_000);
    expect(live.isClosed).toBe(false);
    await runtime.runFor(3_000);
    expect(live.isClosed).toBe(true);
  });
});
