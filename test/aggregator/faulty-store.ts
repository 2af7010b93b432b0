/** A hot store that can be made to wait, to fail before or after storing, and to crash, by command. */

import { HotStoreUnavailable, type Commit, type HotStore } from '../../src/hot-store/hot-store.ts';

export class FaultyStore implements HotStore {
  readonly #store: HotStore;
  /** What a commit meets: storing, failing before it is stored, or failing although it was stored. */
  mode: 'store' | 'fail' | 'store-and-fail' = 'store';
  /** Every commit that was tried, also again. */
  readonly tried: Commit[] = [];
  #gate: Promise<void> | null = null;
  #openGate = (): void => {};

  constructor(store: HotStore) {
    this.#store = store;
  }

  /** Commits wait from now on, stored already, until `release`. */
  hold(): void {
    this.#gate = new Promise((resolve) => (this.#openGate = resolve));
  }

  release(): void {
    this.#gate = null;
    this.#openGate();
  }

  recover(visit: (commit: Commit) => void): Promise<void> {
    return this.#store.recover(visit);
  }

  begin(actor: Commit['actor']): Promise<boolean> {
    return this.#store.begin(actor);
  }

  catchUp(visit: (commit: Commit) => void): Promise<void> {
    return this.#store.catchUp(visit);
  }

  async commit(commit: Commit): Promise<void> {
    this.tried.push(commit);
    if (this.mode === 'fail') throw new HotStoreUnavailable('by command, before storing');
    await this.#store.commit(commit);
    if (this.mode === 'store-and-fail') throw new HotStoreUnavailable('by command, after storing');
    await this.#gate;
  }

  forget(beforeMs: number): Promise<void> {
    return this.#store.forget(beforeMs);
  }

  close(): Promise<void> {
    return this.#store.close();
  }
}
