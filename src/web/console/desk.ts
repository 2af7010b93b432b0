/**
 * The documents that the console has open. One is shown; others stay connected until what was edited in them has
 * reached the region.
 */

import * as Y from 'yjs';
import { realRuntime } from '../../base/runtime.ts';
import { syncDocument, type DocumentSync, type SyncState } from '../../moderation/sync-client.ts';

interface OpenDocument {
  readonly doc: Y.Doc;
  readonly sync: DocumentSync;
}

export interface DeskParts {
  /** `ws://…/control/` */
  readonly url: string;
  readonly token: () => string | null;
  /** The shown document, its state or what is pending changed. */
  readonly onChange: () => void;
}

export class Desk {
  readonly #parts: DeskParts;
  readonly #open = new Map<string, OpenDocument>();
  #shown = '';

  constructor(parts: DeskParts) {
    this.#parts = parts;
  }

  show(name: string): void {
    this.#shown = name;
    if (!this.#open.has(name)) this.#open.set(name, this.#connect(name, new Y.Doc()));
    this.#tidy();
    this.#parts.onChange();
  }

  get doc(): Y.Doc {
    return this.#open.get(this.#shown)!.doc;
  }

  get state(): SyncState {
    return this.#open.get(this.#shown)?.sync.state ?? { kind: 'connecting' };
  }

  /** Edits that no region has confirmed, in all documents. */
  get pending(): number {
    return [...this.#open.values()].reduce((sum, { sync }) => sum + sync.pending, 0);
  }

  retry(): void {
    for (const { sync } of this.#open.values()) sync.retry();
  }

  /** Drops what the region would never take, and begins with what it has. */
  discard(): void {
    this.#open.get(this.#shown)?.sync.stop();
    this.#open.set(this.#shown, this.#connect(this.#shown, new Y.Doc()));
    this.#parts.onChange();
  }

  #connect(name: string, doc: Y.Doc): OpenDocument {
    const sync = syncDocument({
      doc,
      url: this.#parts.url + name,
      token: this.#parts.token,
      open: (url, protocols) => new WebSocket(url, protocols),
      runtime: realRuntime,
      onChange: () => {
        // It changes also while it is being opened, and after another took its place.
        if (this.#open.get(name)?.doc !== doc) return;
        this.#tidy();
        this.#parts.onChange();
      },
    });
    return { doc, sync };
  }

  #tidy(): void {
    for (const [name, { sync }] of this.#open) {
      if (name === this.#shown || sync.pending > 0) continue;
      sync.stop();
      this.#open.delete(name);
    }
  }
}
