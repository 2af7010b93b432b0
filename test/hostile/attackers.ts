/**
 * Hostile clients in a process of their own. It says when it is ready; then its parent sends one `Orders`. It attacks until it has
 * sent as many messages, tells every second how many that were, and at the end what was answered on each surface. Then it asks for
 * what was not answered, and closes its books.
 */

import { connect } from 'node:net';
import { seededRandom } from '../support/simulated-runtime.ts';
import { AnswerBooks, type Books } from './answer-books.ts';
import type { Answers, Pace, Target } from './attack.ts';
import { ask } from './asking.ts';
import { SURFACES } from './surfaces.ts';

export interface Orders {
  readonly target: Target;
  readonly seed: number;
  readonly messages: number;
  /** Messages a second at most; 0 for as many as go. */
  readonly rate: number;
}

export interface Tally {
  readonly surface: string;
  readonly messages: number;
  readonly answers: readonly (readonly [answer: string, times: number])[];
}

export type FromAttackers =
  | { readonly kind: 'ready' }
  | { readonly kind: 'progress'; readonly messages: number }
  | { readonly kind: 'done'; readonly tallies: readonly Tally[]; readonly failures: readonly string[] }
  | { readonly kind: 'closed'; readonly books: Books };

/** Many of them wait for an answer that never comes. */
const AT_ONCE = 64;
/** Beyond it what was missed is not made up for: a burst is another rate than the one that was asked for. */
const LATE_MS_MAX = 20;
const PROGRESS_MS = 1_000;
const FAILURES_MAX = 10;
/** Connections that never say a whole request. */
const SLOW = 20;
const SESSIONS = 1_000;
/** What waits so long for an answer is asked for during the attack: regions remember batches for five minutes. */
const UNASKED_MS_MAX = 60_000;
const ASKED_MIN = 100;
/** Sessions go on for less than that, too. */
const SESSIONS_MS_MAX = 240_000;

async function attack({ target, seed, messages, rate }: Orders): Promise<void> {
  const shares = SURFACES.reduce((sum, { share }) => sum + share, 0);
  const tallies = SURFACES.map((surface) => ({ surface, goal: Math.ceil((messages * surface.share) / shares), messages: 0, answers: new Map() as Answers }));
  const failures: string[] = [];
  // Long and without likeness, so that no damage to a name makes that of another process.
  const name = Math.floor(seededRandom(seed)() * 2 ** 52).toString(36);
  const books = new AnswerBooks(`${name}-`);
  let sent = 0;
  let nextAt = performance.now();
  const pace: Pace = async (count) => {
    if (rate === 0) return;
    const now = performance.now();
    const at = Math.max(nextAt, now - LATE_MS_MAX);
    nextAt = at + (1_000 * count) / rate;
    if (at > now) await new Promise((resolve) => setTimeout(resolve, at - now));
  };
  const progress = setInterval(() => process.send?.({ kind: 'progress', messages: sent } satisfies FromAttackers), PROGRESS_MS);

  const attacker = async (index: number): Promise<void> => {
    const random = seededRandom(seed * 1_000 + index);
    const session = (): string => `${name}-${Math.floor(performance.now() / SESSIONS_MS_MAX)}-${Math.floor(random() * SESSIONS)}`;
    for (;;) {
      // The one that is furthest behind, so that the mixture is the same from beginning to end.
      const open = tallies.filter((each) => each.messages < each.goal);
      const tally = open.toSorted((one, other) => one.messages / one.goal - other.messages / other.goal)[0];
      if (tally === undefined) return;
      // Taken before they are sent, so that others do not send them as well.
      const wanted = Math.min(tally.goal - tally.messages, tally.surface.atOnceMax);
      tally.messages += wanted;
      let count = 0;
      try {
        count = await tally.surface.attack({ target, random, pace, books, session }, wanted, tally.answers);
        if (books.waitingMs > UNASKED_MS_MAX) await ask(target, books);
      } catch (error) {
        if (failures.length < FAILURES_MAX) failures.push(`${tally.surface.name}: ${(error as Error).message}`);
        if (failures.length === FAILURES_MAX) return;
      }
      tally.messages -= wanted - count;
      sent += count;
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, (_, index) => attacker(index)));
  clearInterval(progress);
  const told = tallies.map(({ surface, messages: count, answers }) => ({ surface: surface.name, messages: count, answers: [...answers] }));
  process.send?.({ kind: 'done', tallies: told, failures } satisfies FromAttackers);
  // A few at once, so that more attempts than there are batches mean that the region does not want them, or is no more.
  for (let left = ASKED_MIN + books.waiting; left > 0 && books.waiting > 0; left--) await ask(target, books).catch(() => {});
  process.send?.({ kind: 'closed', books: books.close() } satisfies FromAttackers);
}

process.on('disconnect', () => process.exit());
process.on('message', (orders: Orders) => {
  slowly(orders.target);
  void attack(orders);
});
// Last, when all that it needs is loaded.
process.send?.({ kind: 'ready' } satisfies FromAttackers);

/** A byte a second, on connections that are made again when they are cut: requests that never end, and upgrades after which nothing is whole. */
function slowly({ port }: Target): void {
  const dribble = (text: string): void => {
    const socket = connect(port, '127.0.0.1');
    let at = 0;
    const timer = setInterval(() => socket.write(text[at++ % text.length]!), PROGRESS_MS);
    socket.on('error', () => {});
    socket.on('close', () => {
      clearInterval(timer);
      setTimeout(() => dribble(text), PROGRESS_MS);
    });
    socket.resume();
  };
  const post = 'POST /reactions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n{"stream_id": "';
  const upgrade = 'GET /streams/hostile/reactions HTTP/1.1\r\nupgrade: websocket\r\nx: ';
  for (let index = 0; index < SLOW; index++) dribble(index % 2 === 0 ? post : upgrade);
}
