/**
 * The timer wheel: thousands of viewers, each with one next turn, on a single timer.
 *
 * A ring of slots, as in Varghese and Lauck (SOSP 1987). An item carries its own due time, so planning
 * an earlier turn costs one push; the entry it replaces is recognised by its other time and skipped.
 */

export interface Turn {
  /** When the next turn is due; Infinity when none is planned. Written by the wheel alone. */
  turnAt: number;
}

interface Entry<Item> {
  readonly item: Item;
  readonly at: number;
}

export class TimerWheel<Item extends Turn> {
  readonly #slots: Entry<Item>[][];
  readonly #slotMs: number;
  /** The slot, counted from time 0, up to which turns were taken. */
  #reached: number;

  constructor(nowMs: number, slotMs = 5, slotCount = 2048) {
    this.#slotMs = slotMs;
    this.#slots = Array.from({ length: slotCount }, () => []);
    this.#reached = Math.floor(nowMs / slotMs);
  }

  /** Plans the item's next turn, unless an earlier one is planned already. */
  plan(item: Item, atMs: number): void {
    if (atMs >= item.turnAt || atMs === Infinity) return;
    item.turnAt = atMs;
    this.#push({ item, at: atMs });
  }

  /** Gives every item that is due its turn. A turn may plan turns, its own next one too. */
  advance(nowMs: number, take: (item: Item) => void): void {
    const end = Math.floor(nowMs / this.#slotMs);
    while (this.#reached < end) {
      this.#reached += 1;
      const index = this.#reached % this.#slots.length;
      const entries = this.#slots[index]!;
      if (entries.length === 0) continue;
      this.#slots[index] = [];
      for (const entry of entries) {
        const { item, at } = entry;
        if (item.turnAt !== at) continue;
        if (at > nowMs) {
          // Beyond the span of the wheel when it was planned: it goes round once more.
          this.#push(entry);
          continue;
        }
        item.turnAt = Infinity;
        take(item);
      }
    }
  }

  #push(entry: Entry<Item>): void {
    const wanted = Math.ceil(entry.at / this.#slotMs);
    const slot = Math.min(Math.max(wanted, this.#reached + 1), this.#reached + this.#slots.length - 1);
    this.#slots[slot % this.#slots.length]!.push(entry);
  }
}
