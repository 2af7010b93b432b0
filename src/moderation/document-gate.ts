/**
 * The gate of a policy document: whether bytes that somebody sent may become part of it.
 *
 * Yjs takes whatever it is given: it allocates what lengths claim, keeps types that nobody reads, and may be half
 * way through an update when it fails. So every update is read once without being applied [MOD-11], and is applied
 * to a copy that is kept only when all is well. Of moderators only plain values in the maps of `policy-content.ts`
 * are taken, and a bounded size; what a peer region holds has passed its gate already, and must merge.
 */

import * as Y from 'yjs';
import { MUTES_MAX, SECTIONS, type PolicyContent, type RawContent, type ContentProblem } from './policy-content.ts';
import { endOf } from './mutes.ts';
import { contentOf, endStream, rawContentOf } from './policy-doc.ts';

/** Bytes of a document that moderators may write; beyond it only what makes it smaller is taken. */
export const DOCUMENT_BYTES_MAX = 64 * 1024;
/** Bytes of a document that regions merge: each side of a cut may have filled it. */
export const MERGED_BYTES_MAX = 8 * DOCUMENT_BYTES_MAX;
/** How deep values may be nested; those that mean something are flat. */
const DEPTH_MAX = 4;
/** The end of a stream, when it has to be written again, says whose it was and when. */
const NOBODY = '';

/** Bytes that are no update, or one that no console writes. */
export class MalformedUpdate extends Error {
  override readonly name = 'MalformedUpdate';
}

/** The document would be larger than it may be. */
export class DocumentTooLarge extends Error {
  override readonly name = 'DocumentTooLarge';
}

export interface GatedDocument {
  /** The whole document, encoded. */
  readonly state: Uint8Array;
  readonly raw: RawContent;
  readonly content: PolicyContent;
  readonly problems: readonly ContentProblem[];
}

export interface Admission {
  readonly document: GatedDocument;
  /** What is new, for those who hold the document as it was; empty when nothing is. */
  readonly updates: readonly Uint8Array[];
}

export const EMPTY_STATE: Uint8Array = Y.encodeStateAsUpdate(new Y.Doc());

/** A moderator's update. The document held stays as it was. @throws MalformedUpdate, DocumentTooLarge */
export function admitUpdate(held: GatedDocument | null, update: Uint8Array): Admission {
  if (update.length > DOCUMENT_BYTES_MAX) throw new DocumentTooLarge(`an update has at most ${DOCUMENT_BYTES_MAX} bytes`);
  const { structs } = read(update);
  for (const struct of structs) refuseForeign(struct);
  const admission = integrate(held, update);
  const before = held?.state.length ?? 0;
  const { state, raw } = admission.document;
  if (state.length > Math.max(DOCUMENT_BYTES_MAX, before)) {
    throw new DocumentTooLarge(`a document has at most ${DOCUMENT_BYTES_MAX} bytes; it would have ${state.length}`);
  }
  const mutes = raw.get('mutes')!.size;
  if (mutes > Math.max(MUTES_MAX, held?.raw.get('mutes')!.size ?? 0)) {
    throw new DocumentTooLarge(`a document has at most ${MUTES_MAX} mutes`);
  }
  return admission;
}

/** What a region's log holds of the document. @throws MalformedUpdate, DocumentTooLarge */
export function mergeState(held: GatedDocument | null, state: Uint8Array): Admission {
  if (state.length > MERGED_BYTES_MAX) throw new DocumentTooLarge(`a merged document has at most ${MERGED_BYTES_MAX} bytes`);
  read(state);
  const admission = integrate(held, state);
  if (admission.document.state.length > MERGED_BYTES_MAX) throw new DocumentTooLarge(`merged it would have ${admission.document.state.length} bytes`);
  return admission;
}

/** The document that a state of our own holds, whose parts were let go of. */
export function restoreDocument(state: Uint8Array): GatedDocument {
  return { ...change(null, (doc) => Y.applyUpdate(doc, state)).document, state };
}

/** Removes the mutes that were over before a time; null when there are none. Regions that do so at once agree. */
export function forgetMutes(held: GatedDocument, overBefore: number): Admission | null {
  const over = held.content.muteRecords.filter(({ mute }) => endOf(mute) < overBefore);
  if (over.length === 0) return null;
  return change(held, (doc) => {
    for (const { key } of over) doc.getMap('mutes').delete(key);
  });
}

/** What somebody lacks who has what the vector says. @throws MalformedUpdate */
export function missingOf(state: Uint8Array, vector: Uint8Array): Uint8Array {
  try {
    return Y.diffUpdate(state, vector);
  } catch (error) {
    throw new MalformedUpdate('no state vector', { cause: error });
  }
}

export function vectorOf(state: Uint8Array): Uint8Array {
  return Y.encodeStateVectorFromUpdate(state);
}

/** Reads all of the bytes lazily, so that a length that lies ends at the last byte instead of in an allocation. */
function read(update: Uint8Array): ReturnType<typeof Y.decodeUpdate> {
  try {
    return Y.decodeUpdate(update);
  } catch (error) {
    throw new MalformedUpdate('no update of a document', { cause: error });
  }
}

function refuseForeign(struct: Y.Item | Y.GC | Y.Skip): void {
  if (!(struct instanceof Y.Item)) return;
  const { content, parent, parentSub } = struct as { content: Y.Item['content']; parent: unknown; parentSub: string | null };
  // Without a parent it stands where its neighbour stands, which has passed here.
  if (parent !== null) {
    if (!(SECTIONS as readonly unknown[]).includes(parent)) throw new MalformedUpdate(`a document has the maps ${SECTIONS.join(', ')} and nothing else`);
    if (parentSub === null) throw new MalformedUpdate('a value has a key');
  }
  if (content instanceof Y.ContentDeleted) return;
  if (!(content instanceof Y.ContentAny)) throw new MalformedUpdate('values are plain');
  if (!content.arr.every((value: unknown) => isPlain(value, DEPTH_MAX))) throw new MalformedUpdate('values are plain and flat');
}

/** A key `__proto__` is read as the prototype of what it stands in, behind which anything may hide, however deep. */
function isPlain(value: unknown, depth: number): boolean {
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return true;
  const isOrdinary = Array.isArray(value) || Object.getPrototypeOf(value) === Object.prototype;
  return isOrdinary && depth > 0 && Object.values(value).every((inner) => isPlain(inner, depth - 1));
}

function integrate(held: GatedDocument | null, update: Uint8Array): Admission {
  const endedAt = held?.content.endedAt ?? null;
  return change(held, (doc) => {
    Y.applyUpdate(doc, update);
    // An end is final: whoever takes it out of the document, it is written again.
    if (endedAt !== null) endStream(doc, { by: NOBODY, at: endedAt });
  });
}

function change(held: GatedDocument | null, edit: (doc: Y.Doc) => void): Admission {
  const doc = new Y.Doc();
  try {
    Y.applyUpdate(doc, held?.state ?? EMPTY_STATE);
    const updates: Uint8Array[] = [];
    doc.on('update', (update: Uint8Array) => void updates.push(update));
    edit(doc);
    const state = Y.encodeStateAsUpdate(doc);
    // What still waits for something that it builds upon makes no event, but is part of the document.
    if (updates.length === 0 && state.length !== (held?.state ?? EMPTY_STATE).length) updates.push(state);
    return { document: { state, raw: rawContentOf(doc), ...contentOf(doc) }, updates };
  } catch (error) {
    throw new MalformedUpdate('Yjs cannot apply the update', { cause: error });
  } finally {
    doc.destroy();
  }
}
