/**
 * A peer's documents: hands them to their owners, and knows which of them the peer's log was seen to
 * hold, as hashes, so that the digest in the peer's heartbeat proves that none is missing.
 *
 * When the log is read from its first message, what was known of it has to be seen again. What was not,
 * once the digests are equal, the log holds no more: its owner is told so.
 */

import { DOCUMENTS_MAX, DocumentHashes, hashDocument, kindOf, type DocumentKind } from './documents.ts';

export interface PeerDocumentsParts {
  readonly peer: string;
  readonly kinds: ReadonlyMap<string, DocumentKind>;
  /** A document that was not taken: too many, or its owner failed. */
  readonly refuse: (key: string, reason: string) => void;
}

export class PeerDocuments {
  readonly #parts: PeerDocumentsParts;
  /** What the log was seen to hold since it was read from its first message. */
  readonly #seen = new DocumentHashes();
  /** Keys seen before that, and not since. */
  readonly #unseen = new Set<string>();

  constructor(parts: PeerDocumentsParts) {
    this.#parts = parts;
  }

  /** Documents known of the peer. */
  get size(): number {
    return this.#seen.size + this.#unseen.size;
  }

  startedAnew(): void {
    for (const key of this.#seen.keys()) this.#unseen.add(key);
    this.#seen.clear();
  }

  /** A message of the peer's log; no bytes say that the document is gone. */
  merge(key: string, bytes: Uint8Array): void {
    const known = this.#unseen.delete(key) || this.#seen.has(key);
    if (bytes.length === 0) {
      this.#seen.delete(key);
      return this.#tell(key, null);
    }
    // What is not taken stays out of the digest too: it is asked for again, with patience.
    if (!known && this.size >= DOCUMENTS_MAX) return this.#parts.refuse(key, 'too many documents');
    this.#seen.set(key, hashDocument(key, bytes));
    this.#tell(key, bytes.slice());
  }

  /** Whether we know of exactly the documents that a heartbeat says the log holds. */
  matches(digest: string): boolean {
    if (digest !== this.#seen.digest()) return false;
    for (const key of this.#unseen) this.#tell(key, null);
    this.#unseen.clear();
    return true;
  }

  /** An owner that fails must not end the reading of everything else. */
  #tell(key: string, bytes: Uint8Array | null): void {
    try {
      this.#parts.kinds.get(kindOf(key))?.receive(this.#parts.peer, key, bytes);
    } catch (error) {
      this.#parts.refuse(key, error instanceof Error ? error.message : String(error));
    }
  }
}
