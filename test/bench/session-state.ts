/**
 * session-state: what a session costs in memory so that its resends count once, with all it takes to find
 * it: key, window, place in the table. The baseline is the plain way, a map of objects.
 */

import { Sessions } from '../../src/aggregator/sessions.ts';
import { emptyWindow, type SequenceWindow } from '../../crdt/sequence-window.ts';
import { collectGarbage, type Benchmark } from './measure.ts';

const SESSIONS = 100_000;
const STREAMS = 100;
const BYTES_MAX = 120;
/** 128 random bits in base64url, as the player SDK makes its session ids, and a UUID. */
const ID_LENGTHS = [22, 36] as const;

function idOf(index: number, length: number): string {
  // Flat and unshared, as a decoder makes them: no ropes, no slices.
  return Buffer.from(index.toString(36).padStart(length, 'x')).toString('latin1');
}

function bytesHeld(): number {
  collectGarbage();
  collectGarbage();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

/** Bytes per session of what `build` returns. */
function bytesPerSession(build: () => object): number {
  const before = bytesHeld();
  const held = build();
  const bytes = (bytesHeld() - before) / SESSIONS;
  return Reflect.ownKeys(held).length < 0 ? 0 : bytes;
}

function ownState(idLength: number): object {
  const sessions = new Sessions(2_000_000, 12_345);
  const now = Date.UTC(2026, 0);
  for (let index = 0; index < SESSIONS; index++) {
    const slot = sessions.open(index % STREAMS, idOf(index, idLength), now);
    for (let sequence = 1; sequence <= 3; sequence++) sessions.admit(slot, sequence, 0, 0, now);
  }
  sessions.takeChanged(() => 'stream' as ReturnType<Parameters<typeof sessions.takeChanged>[0]>);
  return sessions;
}

function mapOfObjects(idLength: number): object {
  const sessions = new Map<string, SequenceWindow & { usedAt: number }>();
  for (let index = 0; index < SESSIONS; index++) {
    sessions.set(`stream-${index % STREAMS}/${idOf(index, idLength)}`, { ...emptyWindow(), highest: 3, low: 7, usedAt: Date.now() });
  }
  return sessions;
}

export const sessionState: Benchmark = {
  name: 'session-state',
  description: `memory of the dedupe state of ${SESSIONS / 1000} k sessions on ${STREAMS} streams, key included`,
  target: `≤ ${BYTES_MAX} B a session`,
  run() {
    bytesPerSession(() => ownState(ID_LENGTHS[0]));
    const [own, ownUuid] = ID_LENGTHS.map((length) => bytesPerSession(() => ownState(length)));
    const plain = bytesPerSession(() => mapOfObjects(ID_LENGTHS[0]));
    return Promise.resolve({
      measured: `${own!.toFixed(0)} B a session with ids of ${ID_LENGTHS[0]} characters, ${ownUuid!.toFixed(0)} B with UUIDs`,
      baseline: `${plain.toFixed(0)} B in a Map of objects`,
      ratio: `${(plain / own!).toFixed(1)} × less`,
      reached: own! <= BYTES_MAX,
      figures: { own: own!, ownUuid: ownUuid!, mapOfObjects: plain },
    });
  },
};
