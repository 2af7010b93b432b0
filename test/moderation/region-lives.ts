/** Lives of a region that ends streams, as `src/region.ts` composes them, and what tests do in them. */

import { expect } from 'vitest';
import * as Y from 'yjs';
import { actorId } from '../../crdt/actor.ts';
import type { EmojiId, StreamId } from '../../crdt/ids.ts';
import { Ledger } from '../../crdt/ledger.ts';
import type { Clock } from '../../regions/runtime.ts';
import { createControlPlane, type ControlPlane } from '../../src/moderation/control-plane.ts';
import { EndedStreams } from '../../src/moderation/ended-streams.ts';
import { streamDocument } from '../../src/moderation/policy-content.ts';
import { DEFAULT_BASE } from '../../src/moderation/policy.ts';
import { logKeyOf } from '../../src/moderation/policy-documents.ts';
import { StreamEnds } from '../../src/moderation/stream-ends.ts';

export const NAMES = ['us', 'eu', 'ap'] as const;
export type Name = (typeof NAMES)[number];
export const DERBY = 'derby' as StreamId;
export const DERBY_DOCUMENT = 'stream.derby';
export const DERBY_KEY = logKeyOf(DERBY_DOCUMENT);
export const GRACE_MS = 10_000;
export const ADA = { by: 'ada', at: 1 };
export const silent = { debug() {}, info() {}, warn() {}, error() {} };

export interface Life {
  readonly ledger: Ledger;
  readonly ended: EndedStreams;
  readonly plane: ControlPlane;
  readonly ends: StreamEnds;
}

interface Surroundings {
  readonly clock: Clock;
  readonly mark: (key: string) => void;
  readonly isLogged: (key: string) => boolean;
  readonly forget?: (streams: readonly StreamId[]) => void;
  readonly derivedBefore?: () => number;
}

/** A life of a region, composed as `src/region.ts` does. */
export function lifeOf({ clock, mark, isLogged, forget, derivedBefore }: Surroundings): Life {
  const ledger = new Ledger();
  const ended = new EndedStreams(mark);
  const plane = createControlPlane({ base: DEFAULT_BASE, clock, log: silent, publish: (document) => mark(logKeyOf(document)), ended });
  const ends = new StreamEnds({
    plane,
    ended,
    ledger,
    forget: forget ?? ((streams) => void ledger.forget(streams)),
    isLogged,
    derivedBefore: derivedBefore ?? (() => clock.now()),
    clock,
    log: silent,
    graceMs: GRACE_MS,
  });
  plane.onPolicy((stream) => {
    if (stream !== null) ends.heard(stream);
  });
  return { ledger, ended, plane, ends };
}

export function write(plane: ControlPlane, edit: (doc: Y.Doc) => void, stream = DERBY): void {
  const document = streamDocument(stream);
  const doc = new Y.Doc();
  const state = plane.state(document);
  if (state !== null) Y.applyUpdate(doc, state);
  edit(doc);
  expect(plane.apply(document, Y.encodeStateAsUpdate(doc), 'ada')).toEqual({ kind: 'applied' });
}

export function row(name: Name, epoch: number, sequence: number, stream = DERBY) {
  return { stream, actor: actorId({ region: name, shard: 0, epoch }), sequence, entries: [{ emoji: 'heart' as EmojiId, increments: sequence, decrements: 0 }] };
}

export function idsOf(ended: EndedStreams): string[] {
  return Array.from(ended.keys(), (key) => new TextDecoder().decode(ended.read(key)!)).flatMap((page) => page.trimEnd().split('\n')).sort();
}
