/**
 * What runs in the page of the tests of faults: a player with the SDK, and the page's own books of what it tapped and
 * was told. A tap is a call of `tap`, as a player's button makes it.
 */

import type { AckEvent, Discontinuity, ReactionsError, ReactionsOptions, ReactionsState } from '../../src/client/client-types.ts';
import { createReactions } from '../../src/client/create-reactions.ts';
import '../../src/client/overlay/define.ts';

/** All that the page knows by itself. */
export interface PageBooks {
  /** Emoji → taps that `tap` took. */
  readonly taken: Record<string, number>;
  accepted: number;
  clamped: number;
  answers: number;
  readonly states: { readonly state: ReactionsState; readonly at: number }[];
  readonly discontinuities: Discontinuity[];
  readonly errors: ReactionsError[];
  endpoint: string | null;
}

export interface PageWindow {
  /** Begins to play, once; with a token, `getToken` answers it. */
  play(options: ReactionsOptions, token?: string): void;
  /** Answers how many of so many taps, of one emoji or of each in turn, were taken. */
  tap(taps: number, emoji?: string): number;
  /** Taps by itself from now on, about eight times a second, until told otherwise. */
  burst(on: boolean): void;
  books(): PageBooks;
}

const EMOJI = ['heart', 'fire', 'clap'];
const TAP_MS = 120;
const books: PageBooks = { taken: {}, accepted: 0, clamped: 0, answers: 0, states: [], discontinuities: [], errors: [], endpoint: null };
let player: ReturnType<typeof createReactions>;
let tapped = 0;
let timer: ReturnType<typeof setInterval> | undefined;

function tap(taps: number, only?: string): number {
  let all = 0;
  for (let done = 0; done < taps; done++) {
    const emoji = only ?? EMOJI[tapped++ % EMOJI.length]!;
    const taken = player.tap(emoji);
    if (taken > 0) books.taken[emoji] = (books.taken[emoji] ?? 0) + taken;
    all += taken;
  }
  return all;
}

const page: PageWindow = {
  play(options, token) {
    player = createReactions({ ...options, ...(token !== undefined && { getToken: () => token }) });
    player.on('ack', ({ accepted, clamped }: AckEvent) => {
      books.accepted += accepted;
      books.clamped += clamped;
      books.answers += 1;
    });
    player.on('state', (state) => books.states.push({ state, at: performance.now() }));
    player.on('discontinuity', (event) => books.discontinuities.push(event));
    player.on('error', (error) => books.errors.push(error));
  },
  tap,
  burst(on) {
    clearInterval(timer);
    if (on) timer = setInterval(() => tap(1), TAP_MS);
  },
  books: () => ({ ...books, endpoint: player.endpoint }),
};
Object.assign(globalThis, { page });
