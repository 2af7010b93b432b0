/**
 * Documents: whatever a region tells its peers beside its counts, key by key, whole and opaque.
 *
 * A document is a key, `kind.name…`, and its bytes; each version takes the place of the one before, and
 * no bytes mean that it is gone. What the bytes say, and what becomes of a peer's document, is the
 * business of the kind's owner: this layer publishes the region's own documents, hands over the peers',
 * and proves that none is missing. It never publishes a peer's. Here: what own and peers' side share.
 */

import { Digest, hashInteger, hashText } from '../crdt/digest.ts';

/** The owner of all documents of one kind. */
export interface DocumentKind {
  /** The first token of its keys: `policy` of `policy.stream.derby`. */
  readonly kind: string;
  /** Every document that this region has now. */
  keys(): Iterable<string>;
  /** A document of this region, whole; null when it is gone. The bytes must not change any more. */
  read(key: string): Uint8Array | null;
  /**
   * A region's log holds this version; null when it holds none any more: removed, or lost with the log.
   * The own log's are told while it is read back. May be told again, judges the bytes itself, and must
   * not throw. The bytes are the receiver's.
   */
  receive(from: string, key: string, bytes: Uint8Array | null): void;
}

/** Of all kinds together, in one log: 100,000 policies and what goes beside them. */
export const DOCUMENTS_MAX = 110_000;
/** Merging doubles what is bounded elsewhere, and a NATS server takes 1 MB. */
export const LOGGED_DOCUMENT_BYTES_MAX = 512 * 1024;

const TOKEN_PATTERN = /^[A-Za-z0-9_-]+$/;
const KEY_PATTERN = /^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)+$/;
/** With the log's prefix it is a key of the log. */
const KEY_CHARACTERS_MAX = 240;

/** A kind and at least one token of a name. */
export function isDocumentKey(key: string): boolean {
  return key.length <= KEY_CHARACTERS_MAX && KEY_PATTERN.test(key);
}

export function kindOf(key: string): string {
  return key.slice(0, key.indexOf('.'));
}

/** @throws when two share a name or one could stand in no key: mistakes of whoever composes */
export function documentKinds(kinds: readonly DocumentKind[]): ReadonlyMap<string, DocumentKind> {
  const byName = new Map<string, DocumentKind>();
  for (const kind of kinds) {
    if (!TOKEN_PATTERN.test(kind.kind) || byName.has(kind.kind)) throw new Error(`${JSON.stringify(kind.kind)} names no kind of documents, or two`);
    byName.set(kind.kind, kind);
  }
  return byName;
}

/** 64 bits of a key and its bytes. They detect accidents, not adversaries. */
export interface DocumentHash {
  readonly high: number;
  readonly low: number;
}

export function hashDocument(key: string, bytes: Uint8Array): DocumentHash {
  let high = hashText(key, 0x3c6ef372);
  let low = hashText(key, 0x1f83d9ab);
  for (const byte of bytes) {
    high = Math.imul(high ^ byte, 0x01000193);
    low = Math.imul(low + byte, 0x85ebca6b) ^ (low >>> 15);
  }
  return { high: hashInteger(high, bytes.length), low: hashInteger(low, bytes.length) };
}

/** Which documents a log holds, as hashes, and their digest. */
export class DocumentHashes {
  readonly #hashes = new Map<string, DocumentHash>();
  /** The exclusive or of all hashes. */
  #high = 0;
  #low = 0;

  get size(): number {
    return this.#hashes.size;
  }

  keys(): IterableIterator<string> {
    return this.#hashes.keys();
  }

  has(key: string): boolean {
    return this.#hashes.has(key);
  }

  holds(key: string, { high, low }: DocumentHash): boolean {
    const held = this.#hashes.get(key);
    return held !== undefined && held.high === high && held.low === low;
  }

  set(key: string, hash: DocumentHash): void {
    this.delete(key);
    this.#hashes.set(key, hash);
    this.#high ^= hash.high;
    this.#low ^= hash.low;
  }

  delete(key: string): void {
    const held = this.#hashes.get(key);
    if (held === undefined) return;
    this.#hashes.delete(key);
    this.#high ^= held.high;
    this.#low ^= held.low;
  }

  clear(): void {
    this.#hashes.clear();
    this.#high = 0;
    this.#low = 0;
  }

  /** 16 hexadecimal digits, equal when the same documents are held. */
  digest(): string {
    return this.digestWith([]);
  }

  /** The digest once these changes are made, each of another key; null takes a document out. */
  digestWith(changes: Iterable<readonly [key: string, hash: DocumentHash | null]>): string {
    const digest = new Digest();
    digest.toggle(this.#high, this.#low);
    for (const [key, hash] of changes) {
      const held = this.#hashes.get(key);
      if (held !== undefined) digest.toggle(held.high, held.low);
      if (hash !== null) digest.toggle(hash.high, hash.low);
    }
    return digest.toString();
  }
}
