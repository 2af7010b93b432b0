/**
 * The control plane: all policy documents of a region, and the policy of every stream that follows from them.
 *
 * Documents are kept encoded, with what they say beside; the hot path asks `policyOf`, which is one look-up of a
 * frozen value and knows nothing of Yjs. A document changes by a moderator's update or by what a peer's log holds;
 * either way it is handed to the own log whole (`publish`), also what came from a peer: so that regions keep it for
 * each other, and the talk ends when nobody learns anything new [MOD-7]. A region that is cut off goes on with what
 * it has and merges later. A stream on the list of ended ones needs no document, and gets none any more [MOD-34].
 */

import type { StreamId } from '../../crdt/ids.ts';
import type { Clock, Log } from '../../regions/runtime.ts';
import {
  DocumentTooLarge,
  EMPTY_STATE,
  MalformedUpdate,
  admitUpdate,
  forgetMutes,
  mergeState,
  restoreDocument,
  missingOf,
  vectorOf,
  type Admission,
  type GatedDocument,
} from './document-gate.ts';
import { contentChanges, type ContentChange } from './content-changes.ts';
import { EndedStreams } from './ended-streams.ts';
import { EMPTY_CONTENT, derivePolicy, streamDocument, subjectOfDocument, type ContentProblem, type PolicyContent } from './policy-content.ts';
import type { BasePolicy, Policy, PolicyOf } from './policy.ts';

/** Documents at most; beyond them no stream gets a document of its own. */
const DOCUMENTS_MAX = 100_000;
/** A mute that ended is kept for as long as a region that was cut off may yet learn of it. */
const OVER_MUTES_KEPT_MS = 2 * 60 * 60_000;
const REFUSAL_LOG_INTERVAL_MS = 10_000;

export interface ControlPlaneParts {
  readonly base: BasePolicy;
  readonly clock: Clock;
  readonly log: Log;
  /** The own log is to hold the document of this name. */
  readonly publish: (document: string) => void;
  /** Told what a moderator changed, in the region that took the change. */
  readonly record?: (change: RecordedChange) => void;
  /** Streams that were over long ago; none when absent. */
  readonly ended?: EndedStreams;
  readonly documentsMax?: number;
}

export interface RecordedChange extends ContentChange {
  readonly document: string;
  /** The claim `sub` of the moderator. */
  readonly by: string;
  readonly at: number;
}

export type Refusal = 'malformed' | 'too-large' | 'overloaded' | 'stream-ended';
export type ApplyResult = { readonly kind: 'applied' } | { readonly kind: 'refused'; readonly reason: Refusal; readonly message: string };

/** Told of what is new in a document; `origin` is who wrote it, and has it already. */
export type UpdateListener = (document: string, update: Uint8Array, origin: unknown) => void;
/** Told when a policy may have changed: of one stream, or null for all. */
export type PolicyListener = (stream: StreamId | null) => void;

export interface ControlPlane {
  readonly policyOf: PolicyOf;
  /** A moderator's update; `origin` is given back to update listeners. Refused, the document is as it was. */
  apply(document: string, update: Uint8Array, by: string, origin?: unknown): ApplyResult;
  /** What a region's log holds of a document. Never throws. */
  merge(document: string, state: Uint8Array, from: string): void;
  documents(): IterableIterator<string>;
  /** The whole document, encoded; null when nothing was ever written. */
  state(document: string): Uint8Array | null;
  vector(document: string): Uint8Array;
  /** What somebody lacks who has what the vector says. @throws MalformedUpdate */
  missing(document: string, vector: Uint8Array): Uint8Array;
  /** What of a document is not heard, and why. */
  problems(document: string): readonly ContentProblem[];
  onUpdate(listener: UpdateListener): () => void;
  onPolicy(listener: PolicyListener): () => void;
  /** Tokens of this `sub` that were issued before this time are refused; null when all are good. */
  revokedBefore(sub: string): number | null;
  /** When the stream's document says that it ended, or 0 when it is on the list of ended ones; null otherwise. A region's file is not asked. */
  endedAt(stream: StreamId): number | null;
  /** The stream is over: of its document only the bytes are kept, which say that it ended, until somebody writes to it. */
  archive(stream: StreamId): void;
  /** The stream has come to be listed, so it is over, whatever its document says; that stays until it is dropped. */
  listed(stream: StreamId): void;
  /** Removes the document of a stream that is listed. */
  drop(stream: StreamId): void;
  /** Forgets what nobody needs any more; call it every few minutes. */
  compact(): void;
  readonly stats: Readonly<ControlPlaneStats>;
}

export interface ControlPlaneStats {
  /** Gauges. */
  documents: number;
  documentBytes: number;
  /** Counters. */
  applied: number;
  refused: number;
  merged: number;
  mergesRefused: number;
  compactions: number;
}

interface Held extends GatedDocument {
  /** Null for the global document. */
  readonly stream: StreamId | null;
  /** Derived when first asked for; `of` is the version of the global document that it was derived with. */
  policy: Policy | null;
  of: number;
}

/** What all documents of streams that are over share. */
const OVER: Pick<Held, 'raw' | 'content' | 'problems'> = Object.freeze({ raw: new Map(), content: { ...EMPTY_CONTENT, endedAt: 0 }, problems: [] });

export function createControlPlane(parts: ControlPlaneParts): ControlPlane {
  const { base, clock, log, publish, ended = new EndedStreams(() => {}), documentsMax = DOCUMENTS_MAX } = parts;
  const stats: ControlPlaneStats = { documents: 0, documentBytes: 0, applied: 0, refused: 0, merged: 0, mergesRefused: 0, compactions: 0 };
  const documents = new Map<string, Held>();
  /** The same by stream, for the hot path. */
  const streams = new Map<StreamId, Held>();
  const updateListeners = new Set<UpdateListener>();
  const policyListeners = new Set<PolicyListener>();
  let global: PolicyContent = EMPTY_CONTENT;
  let globalVersion = 0;
  /** Of a stream that nothing is written about: most of them. */
  let plain = policiesOfFile();
  let refusalLoggedAt = -Infinity;

  function policiesOfFile(): { readonly live: Policy; readonly over: Policy; readonly ended: ReadonlyMap<string, Policy> } {
    const derive = (stream: string): Policy => derivePolicy(base, global, EMPTY_CONTENT, stream as StreamId);
    const over = derivePolicy(base, global, OVER.content, '' as StreamId);
    return { live: derive(''), over, ended: new Map(Array.from(base.endedStreams, (stream) => [stream, derive(stream)])) };
  }

  function policyOf(stream: StreamId): Policy {
    const held = streams.get(stream);
    if (held === undefined) return ended.has(stream) ? plain.over : plain.ended.size === 0 ? plain.live : (plain.ended.get(stream) ?? plain.live);
    if (held.content === OVER.content) return plain.over;
    if (held.policy === null || held.of !== globalVersion) {
      held.policy = derivePolicy(base, global, held.content, stream);
      held.of = globalVersion;
    }
    return held.policy;
  }

  function hold(document: string, stream: StreamId | null, { document: gated, updates }: Admission, origin: unknown): void {
    stats.documentBytes += gated.state.length - (documents.get(document)?.state.length ?? 0);
    const held: Held = { ...gated, stream, policy: null, of: 0 };
    documents.set(document, held);
    stats.documents = documents.size;
    if (stream === null) {
      global = held.content;
      globalVersion += 1;
      plain = policiesOfFile();
    } else streams.set(stream, held);
    publish(document);
    for (const update of updates) for (const listener of updateListeners) listener(document, update, origin);
    for (const listener of policyListeners) listener(stream);
  }

  function archive(stream: StreamId): void {
    const held = streams.get(stream);
    if (held !== undefined && held.content !== OVER.content && (held.content.endedAt !== null || ended.has(stream))) {
      const archived: Held = { ...OVER, state: held.state, stream, policy: null, of: 0 };
      documents.set(streamDocument(stream), archived);
      streams.set(stream, archived);
    }
  }

  function listed(stream: StreamId): void {
    archive(stream);
    for (const listener of policyListeners) listener(stream);
  }

  function drop(stream: StreamId): void {
    const document = streamDocument(stream);
    const held = documents.get(document);
    if (held === undefined || !ended.has(stream)) return;
    documents.delete(document);
    streams.delete(stream);
    stats.documentBytes -= held.state.length;
    stats.documents = documents.size;
    publish(document);
  }

  /** A document as it is edited and merged. */
  function wholeOf(document: string): GatedDocument | null {
    const held = documents.get(document) ?? null;
    return held?.content === OVER.content ? restoreDocument(held.state) : held;
  }

  /** What the document is about. @throws MalformedUpdate, NoRoom */
  function subjectOf(document: string): StreamId | null {
    const subject = subjectOfDocument(document);
    if (subject === null) throw new MalformedUpdate('there is no document of this name');
    if (!documents.has(document) && documents.size >= documentsMax && !isListed(subject.stream)) throw new NoRoom('this region holds as many documents as it may');
    return subject.stream;
  }

  function isListed(stream: StreamId | null): boolean {
    return stream !== null && ended.has(stream);
  }

  /** Once in a while, because who sends junk sends much of it. */
  function logRefusal(document: string, from: string, error: unknown): void {
    const now = clock.now();
    if (now - refusalLoggedAt < REFUSAL_LOG_INTERVAL_MS) return;
    refusalLoggedAt = now;
    log.warn({ document, from, reason: (error as Error).message }, 'refused an update of a policy document');
  }

  return {
    policyOf,
    stats,

    apply(document, update, by, origin) {
      try {
        const stream = subjectOf(document);
        const held = isListed(stream) ? null : wholeOf(document);
        const admission = admitUpdate(held, update);
        if (admission.updates.length === 0) return { kind: 'applied' };
        if (isListed(stream)) throw new Ended('the stream ended long ago, and its policy is kept no more');
        stats.applied += 1;
        hold(document, stream, admission, origin);
        const changes = contentChanges(held?.raw ?? null, admission.document.raw);
        const at = clock.now();
        for (const change of changes) parts.record?.({ ...change, document, by, at });
        log.info({ document, by, changes: changes.map(({ path }) => path), problems: admission.document.problems }, 'a moderator changed a policy');
        return { kind: 'applied' };
      } catch (error) {
        const reason = refusalOf(error);
        stats.refused += 1;
        logRefusal(document, by, error);
        return { kind: 'refused', reason, message: (error as Error).message };
      }
    },

    merge(document, state, from) {
      try {
        const stream = subjectOf(document);
        // Also a document that says nothing of an end: its region is told so by our list.
        if (isListed(stream)) return;
        const admission = mergeState(wholeOf(document), state);
        if (admission.updates.length === 0) return;
        stats.merged += 1;
        hold(document, stream, admission, null);
      } catch (error) {
        refusalOf(error);
        stats.mergesRefused += 1;
        logRefusal(document, from, error);
      }
    },

    documents: () => documents.keys(),
    state: (document) => documents.get(document)?.state ?? null,
    vector: (document) => vectorOf(documents.get(document)?.state ?? EMPTY_STATE),
    missing: (document, vector) => missingOf(documents.get(document)?.state ?? EMPTY_STATE, vector),
    problems: (document) => documents.get(document)?.problems ?? [],

    onUpdate(listener) {
      updateListeners.add(listener);
      return () => updateListeners.delete(listener);
    },
    onPolicy(listener) {
      policyListeners.add(listener);
      return () => policyListeners.delete(listener);
    },

    endedAt: (stream) => streams.get(stream)?.content.endedAt ?? (ended.has(stream) ? 0 : null),
    revokedBefore: (sub) => global.revoked.get(sub) ?? null,

    archive,
    listed,
    drop,

    compact() {
      const overBefore = clock.now() - OVER_MUTES_KEPT_MS;
      for (const [document, held] of documents) {
        if (held.content.mutes.size === 0) continue;
        try {
          const admission = forgetMutes(held, overBefore);
          if (admission === null) continue;
          stats.compactions += 1;
          hold(document, held.stream, admission, null);
        } catch (error) {
          refusalOf(error);
          logRefusal(document, 'compaction', error);
        }
      }
    },
  };
}

class NoRoom extends Error {
  override readonly name = 'NoRoom';
}

class Ended extends Error {
  override readonly name = 'Ended';
}

function refusalOf(error: unknown): Refusal {
  if (error instanceof MalformedUpdate) return 'malformed';
  if (error instanceof DocumentTooLarge) return 'too-large';
  if (error instanceof NoRoom) return 'overloaded';
  if (error instanceof Ended) return 'stream-ended';
  throw error;
}
