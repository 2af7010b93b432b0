/**
 * The own documents: which the own log holds, and which it lacks. Pure but for the owners it asks.
 *
 * What is to be published is a set of keys, never a queue of versions: whatever a document was in
 * between, its last version goes out. A removed document leaves an empty message in the log, so that
 * peers learn of it at once, for `tombstoneMs`; who reads later sees by the digest that it is gone.
 */

import {
  DOCUMENTS_MAX,
  LOGGED_DOCUMENT_BYTES_MAX,
  DocumentHashes,
  hashDocument,
  isDocumentKey,
  kindOf,
  type DocumentHash,
  type DocumentKind,
} from './documents.ts';

export interface DocumentBatch {
  readonly versions: readonly { readonly key: string; readonly bytes: Uint8Array }[];
  /** What the log will hold of each; null where it will say that it is gone. */
  readonly changes: ReadonlyMap<string, DocumentHash | null>;
  /** Of all that the log will hold then; null when it will still lack some. */
  readonly digest: string | null;
}

export interface OwnDocumentsParts {
  readonly region: string;
  readonly kinds: ReadonlyMap<string, DocumentKind>;
  readonly bytesPerTurnMax: number;
  readonly tombstoneMs: number;
  /** A document that cannot be published. */
  readonly refuse: (key: string, reason: string) => void;
}

const NOTHING: Uint8Array = new Uint8Array();
/** More are removed early, the oldest first: late readers then learn by the digest. */
const TOMBSTONES_MAX = 10_000;
const EXPIRED_PER_CALL_MAX = 1_000;

export class OwnDocuments {
  readonly #parts: OwnDocumentsParts;
  readonly #dirty = new Set<string>();
  /** Those that the log has no room for. */
  readonly #refused = new Set<string>();
  #logged = new DocumentHashes();
  /** Keys that the log says are gone, and since when; the oldest first. */
  #tombstones = new Map<string, number>();
  #recovered = false;
  #inFlight = 0;

  constructor(parts: OwnDocumentsParts) {
    this.#parts = parts;
  }

  /** Documents that the log lacks. */
  get waiting(): number {
    return this.untried + this.#refused.size;
  }

  /** Of these, such as it has not refused. */
  get untried(): number {
    return this.#dirty.size + this.#inFlight;
  }

  /**
   * It has changed, come into being, or gone. False when too many wait already.
   * @throws when the key is none of a known kind: a mistake of its owner
   */
  mark(key: string): boolean {
    if (!isDocumentKey(key) || !this.#parts.kinds.has(kindOf(key))) throw new Error(`${JSON.stringify(key.slice(0, 100))} is the key of no document`);
    if (this.#dirty.size >= DOCUMENTS_MAX && !this.#dirty.has(key)) {
      this.#parts.refuse(key, 'too many documents wait');
      return false;
    }
    this.#dirty.add(key);
    return true;
  }

  /** Whether the log holds the document as its owner has it now. */
  holds(key: string): boolean {
    const bytes = this.#dirty.has(key) ? undefined : this.#readable(key);
    return bytes !== undefined && this.#isLogged(key, bytes);
  }

  /** Whether the log holds no version of the document and none waits for it: a log that was full did not take it. */
  lacks(key: string): boolean {
    return !this.#dirty.has(key) && !this.#logged.has(key);
  }

  /** The log is read back: what it holds is visited next. */
  opening(): void {
    this.#logged = new DocumentHashes();
    this.#tombstones = new Map();
  }

  /** A message that the log holds. Only the first time its owner is told: later it knows better. */
  visit(key: string, bytes: Uint8Array, now: number): void {
    if (bytes.length === 0) this.#tombstones.set(key, now);
    else this.#logged.set(key, hashDocument(key, bytes));
    if (this.#recovered || bytes.length === 0) return;
    try {
      this.#parts.kinds.get(kindOf(key))?.receive(this.#parts.region, key, bytes.slice());
    } catch (error) {
      this.#parts.refuse(key, error instanceof Error ? error.message : String(error));
    }
  }

  /** All was visited: makes exactly those documents dirty that the log does not hold as their owners do. */
  opened(): number {
    this.#recovered = true;
    this.#dirty.clear();
    this.#refused.clear();
    for (const [name, kind] of this.#parts.kinds) {
      for (const key of kind.keys()) {
        if (!isDocumentKey(key) || kindOf(key) !== name) continue;
        const bytes = this.#readable(key);
        if (bytes !== undefined && !this.#isLogged(key, bytes)) this.mark(key);
      }
    }
    // Of kinds that this build does not know nothing is taken away.
    for (const key of this.#logged.keys()) if (this.#parts.kinds.has(kindOf(key)) && this.#readable(key) === null) this.mark(key);
    return this.#dirty.size;
  }

  /** Takes what changed out of the set, up to a bound in bytes. Either `published` or `failed` follows. */
  take(): DocumentBatch {
    const versions: { readonly key: string; readonly bytes: Uint8Array }[] = [];
    const changes = new Map<string, DocumentHash | null>();
    let bytesTaken = 0;
    for (const key of this.#dirty) {
      if (bytesTaken >= this.#parts.bytesPerTurnMax) break;
      this.#dirty.delete(key);
      if (this.#refused.has(key)) continue;
      const bytes = this.#readable(key);
      if (bytes === undefined || this.#isLogged(key, bytes)) continue;
      const reason = bytes === null ? null : this.#unfit(key, bytes, changes.size);
      if (reason !== null) {
        this.#parts.refuse(key, reason);
        continue;
      }
      versions.push({ key, bytes: bytes ?? NOTHING });
      changes.set(key, bytes === null ? null : hashDocument(key, bytes));
      bytesTaken += key.length + (bytes?.length ?? 0);
    }
    this.#inFlight = versions.length;
    return { versions, changes, digest: this.#dirty.size + this.#refused.size === 0 ? this.#logged.digestWith(changes) : null };
  }

  published({ changes }: DocumentBatch, now: number): void {
    this.#inFlight = 0;
    for (const [key, hash] of changes) {
      this.#tombstones.delete(key);
      if (hash !== null) {
        this.#logged.set(key, hash);
      } else {
        this.#logged.delete(key);
        this.#tombstones.set(key, now);
      }
    }
  }

  /** The log did not take the batch; those that it has no room for are set aside until `retry`. */
  failed({ changes }: DocumentBatch, hasNoRoomFor: (key: string) => boolean = () => false): void {
    this.#inFlight = 0;
    for (const key of changes.keys()) {
      if (!hasNoRoomFor(key)) {
        this.#dirty.add(key);
        continue;
      }
      this.#refused.add(key);
      this.#parts.refuse(key, 'the own log has no room for it');
    }
  }

  /** What was set aside is tried again. */
  retry(): void {
    for (const key of this.#refused) this.#dirty.add(key);
    this.#refused.clear();
  }

  /** Removed documents that the log need not tell of any more, some at a time. */
  expired(now: number): string[] {
    const keys: string[] = [];
    for (const [key, since] of this.#tombstones) {
      const surplus = this.#tombstones.size - keys.length > TOMBSTONES_MAX;
      if (keys.length >= EXPIRED_PER_CALL_MAX || (!surplus && now - since < this.#parts.tombstoneMs)) break;
      keys.push(key);
    }
    return keys;
  }

  /** The log says no more of them. */
  removed(keys: readonly string[]): void {
    for (const key of keys) this.#tombstones.delete(key);
  }

  #unfit(key: string, bytes: Uint8Array, taken: number): string | null {
    if (bytes.length > LOGGED_DOCUMENT_BYTES_MAX) return `a document of ${bytes.length} bytes`;
    return this.#logged.size + taken >= DOCUMENTS_MAX && !this.#logged.has(key) ? 'too many documents' : null;
  }

  /** No bytes would say that it is gone. */
  #read(key: string): Uint8Array | null {
    const bytes = this.#parts.kinds.get(kindOf(key))?.read(key) ?? null;
    return bytes === null || bytes.length === 0 ? null : bytes;
  }

  /** Undefined when its owner fails: that must not hold up everything else. */
  #readable(key: string): Uint8Array | null | undefined {
    try {
      return this.#read(key);
    } catch (error) {
      this.#parts.refuse(key, error instanceof Error ? error.message : String(error));
      return undefined;
    }
  }

  #isLogged(key: string, bytes: Uint8Array | null): boolean {
    return bytes === null ? !this.#logged.has(key) : this.#logged.holds(key, hashDocument(key, bytes));
  }
}
