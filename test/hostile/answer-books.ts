/**
 * What the stream that is attacked must come to: the taps that attackers were told count, each batch once.
 *
 * Attackers seldom wait for answers, and what a batch that was not answered has come to is asked afterwards, by sending it again
 * as clients do: then it is a duplicate, or counts now. Only what nobody else sends can be asked for, so that every process names
 * its sessions after itself; what is left open makes the difference between `least` and `most`.
 */

export type Counts = Readonly<Record<string, number>>;

export interface Books {
  readonly least: Counts;
  readonly most: Counts;
  /** Each a sentence: what was answered that must not be. */
  readonly faults: readonly string[];
}

/** A batch as the protocol reads what was sent. */
export interface Said {
  /** Null for a post that counts as often as it is sent. */
  readonly session: string | null;
  readonly seq: number;
  readonly reactions: readonly (readonly [emoji: string, taps: number])[];
}

export interface Told {
  readonly accepted: number;
  readonly duplicate: boolean;
}

/** What is known of one number of one session. */
interface Entry {
  /** When it was told last that it counts, in milliseconds of any clock. */
  countedAt: number;
  /** Batches that were not answered: one number may be given to several. */
  open: Said[];
  /** What one of them has come to, as was told when it was sent again. */
  found: Told | null;
}

/** A batch that is sent again within so much time is the same one. */
const RESEND_MS = 5 * 60_000;
const FAULTS_MAX = 10;

export class AnswerBooks {
  readonly #prefix: string;
  readonly #now: () => number;
  readonly #told = new Map<string, number>();
  /** Of batches that cannot be asked for. */
  readonly #possible = new Map<string, number>();
  readonly #entries = new Map<string, Entry>();
  readonly #faults: string[] = [];
  #waiting: { readonly said: Said; readonly since: number }[] = [];

  /** Sessions whose names begin with the prefix are nobody else's. */
  constructor(prefix: string, now: () => number = () => performance.now()) {
    this.#prefix = prefix;
    this.#now = now;
  }

  /** How many batches are to be asked for. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /** For how long the first of them has waited. */
  get waitingMs(): number {
    return this.#waiting.length === 0 ? 0 : this.#now() - this.#waiting[0]!.since;
  }

  takeWaiting(count: number): Said[] {
    return this.#waiting.splice(0, count).map(({ said }) => said);
  }

  /** Null for an answer to what says nothing that can be counted. */
  answered(said: Said | null, told: Told): void {
    if (said === null) return this.#fault(`${told.accepted} taps were answered of what is no batch`);
    const entry = this.#entryOf(said);
    if (told.duplicate) {
      // Of another batch with the same number the figures say nothing about this one.
      if (entry?.open.includes(said) === true) entry.found = told;
      return;
    }
    add(this.#told, said, told.accepted);
    if (entry === null) return;
    const now = this.#now();
    if (now - entry.countedAt < RESEND_MS) this.#fault(`batch ${said.seq} of session ${said.session} was counted twice`);
    entry.countedAt = now;
  }

  unanswered(said: Said): void {
    if (said.session?.startsWith(this.#prefix) !== true) return add(this.#possible, said);
    this.#entryOf(said)!.open.push(said);
    this.askLater(said);
  }

  askLater(said: Said): void {
    this.#waiting.push({ said, since: this.#now() });
  }

  /** It was not counted, and will not be. */
  refused(said: Said): void {
    const entry = this.#entryOf(said)!;
    entry.open = entry.open.filter((each) => each !== said);
  }

  close(): Books {
    const least = new Map(this.#told);
    const most = new Map(this.#told);
    for (const [emoji, taps] of this.#possible) most.set(emoji, (most.get(emoji) ?? 0) + taps);
    for (const { countedAt, open, found } of this.#entries.values()) {
      // Whoever was told that it counts has all of it in the books.
      if (countedAt !== -Infinity || open.length === 0) continue;
      const [first, ...others] = open;
      const isClear = found !== null && others.every((each) => JSON.stringify(each) === JSON.stringify(first));
      if (isClear) add(least, first!, found.accepted);
      for (const each of isClear ? [first!] : open) add(most, each, isClear ? found.accepted : Infinity);
    }
    return { least: Object.fromEntries(least), most: Object.fromEntries(most), faults: this.#faults };
  }

  #entryOf({ session, seq }: Said): Entry | null {
    if (session === null) return null;
    const key = `${session} ${seq}`;
    const known = this.#entries.get(key);
    if (known !== undefined) return known;
    const entry: Entry = { countedAt: -Infinity, open: [], found: null };
    this.#entries.set(key, entry);
    return entry;
  }

  #fault(text: string): void {
    if (this.#faults.length < FAULTS_MAX) this.#faults.push(text);
  }
}

/** Of several processes. */
export function joined(books: readonly Books[]): Books {
  const sum = (side: 'least' | 'most'): Counts => {
    const counts = new Map<string, number>();
    for (const each of books) for (const [emoji, taps] of Object.entries(each[side])) counts.set(emoji, (counts.get(emoji) ?? 0) + taps);
    return Object.fromEntries(counts);
  };
  return { least: sum('least'), most: sum('most'), faults: books.flatMap(({ faults }) => faults) };
}

/** The first of a batch's taps are those that count. */
function add(counts: Map<string, number>, { reactions }: Said, accepted = Infinity): void {
  let left = accepted;
  for (const [emoji, taps] of reactions) {
    const counted = Math.min(taps, left);
    left -= counted;
    if (counted > 0) counts.set(emoji, (counts.get(emoji) ?? 0) + counted);
  }
}
