/**
 * Two owners of documents, as opposite as owners can be. `Notes` are one document for all regions, merged
 * like Yjs states and published again by whoever learned something. `Pages` are each region's own: they
 * are put, changed and removed, and peers' are kept apart.
 */

import type { DocumentKind } from '../../regions/documents.ts';

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** Of each key the highest number that each author wrote. */
export class Notes implements DocumentKind {
  readonly kind = 'note';
  readonly #notes = new Map<string, Map<string, number>>();
  readonly #mark: (key: string) => void;

  constructor(mark: (key: string) => void) {
    this.#mark = mark;
  }

  write(key: string, author: string): void {
    const note = this.#note(key);
    note.set(author, (note.get(author) ?? 0) + 1);
    this.#mark(key);
  }

  keys(): Iterable<string> {
    return this.#notes.keys();
  }

  /** The same bytes for the same note, whatever the order in which it was merged. */
  read(key: string): Uint8Array | null {
    const note = this.#notes.get(key);
    return note === undefined ? null : encoder.encode(JSON.stringify([...note].sort(([a], [b]) => (a < b ? -1 : 1))));
  }

  receive(_from: string, key: string, bytes: Uint8Array | null): void {
    if (bytes === null) return;
    const note = this.#note(key);
    let learned = false;
    for (const [author, number] of JSON.parse(decoder.decode(bytes)) as [string, number][]) {
      if (number <= (note.get(author) ?? 0)) continue;
      note.set(author, number);
      learned = true;
    }
    if (learned) this.#mark(key);
  }

  toString(): string {
    return [...this.#notes.keys()].sort().map((key) => `${key}=${decoder.decode(this.read(key)!)}`).join(' ');
  }

  #note(key: string): Map<string, number> {
    let note = this.#notes.get(key);
    if (note === undefined) this.#notes.set(key, (note = new Map()));
    return note;
  }
}

export class Pages implements DocumentKind {
  readonly kind = 'page';
  /** region → key → text */
  readonly #pages = new Map<string, Map<string, string>>();
  /** What was told, in order, as `from key=text`. */
  readonly told: string[] = [];
  readonly #region: string;
  readonly #mark: (key: string) => void;

  constructor(region: string, mark: (key: string) => void) {
    this.#region = region;
    this.#mark = mark;
  }

  put(key: string, text: string): void {
    this.#of(this.#region).set(key, text);
    this.#mark(key);
  }

  drop(key: string): void {
    this.#of(this.#region).delete(key);
    this.#mark(key);
  }

  keys(): Iterable<string> {
    return this.#of(this.#region).keys();
  }

  read(key: string): Uint8Array | null {
    const text = this.#of(this.#region).get(key);
    return text === undefined ? null : encoder.encode(text);
  }

  receive(from: string, key: string, bytes: Uint8Array | null): void {
    const text = bytes === null ? null : decoder.decode(bytes);
    this.told.push(`${from} ${key}=${text}`);
    if (text === null) this.#of(from).delete(key);
    else this.#of(from).set(key, text);
  }

  /** What is known of a region's pages. */
  of(region: string): string {
    return [...this.#of(region)].sort(([a], [b]) => (a < b ? -1 : 1)).map(([key, text]) => `${key}=${text}`).join(' ');
  }

  #of(region: string): Map<string, string> {
    let pages = this.#pages.get(region);
    if (pages === undefined) this.#pages.set(region, (pages = new Map()));
    return pages;
  }
}
