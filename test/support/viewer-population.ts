/**
 * A labelled population of viewers, people and bots, as the service sees them: batches with an arrival time.
 *
 * **People.** The tables below were distilled from a recording of a chat of a live final (1 h 25 min, 11,344 people;
 * each message one reaction): the 997 who wrote ten times or more. A chat is slower than a button, so the recording
 * is played 50 times as fast, which turns its shortest gaps (9 s) into 0.18 s, a quick finger. What a chat
 * cannot tell is assumed, rather to the disadvantage of the judge: the speed of tapping (5 a second, a third either
 * way), its unevenness (12 to 30 % of the interval, and a drift of tempo, as finger tapping studies have
 * it), fans who tap for minutes with hardly a pause, moments at which half of the crowd applauds together, a
 * third of the people true to one emoji, campuses behind one address, clients that gather taps on an even
 * timer, and connections that were away and deliver everything at once.
 *
 * **Bots**, five kinds: `metronome`, `flood`, `swarm` (many viewers, devices and networks, one emoji), `devices` (many
 * devices behind one address) and `replay` (the taps of a person, played again: nothing but its sameness tells it).
 */

export const HUMANS = ['recorded', 'bursty', 'fan'] as const;
export const BOTS = ['metronome', 'flood', 'swarm', 'devices', 'replay'] as const;
export type Bot = (typeof BOTS)[number];
export type Kind = (typeof HUMANS)[number] | Bot;

export interface Member {
  readonly kind: Kind;
  readonly isBot: boolean;
  readonly viewer: string;
  readonly device: string | null;
  readonly address: string | null;
}

/** A batch as the aggregator gets it: at a commit's time, relative to the start. */
export interface Arrival {
  readonly at: number;
  readonly member: Member;
  readonly emoji: readonly number[];
  readonly counts: readonly number[];
}

export interface Population {
  readonly members: readonly Member[];
  /** By time. */
  readonly arrivals: readonly Arrival[];
}

interface Tap {
  readonly at: number;
  readonly emoji: number;
}

type Random = () => number;

/** Of viewers: ln of the median gap between two reactions, in seconds, at these shares of the viewers. */
const SHARES = [0, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 1];
const MEDIAN_GAP = [2.37, 3.07, 3.29, 3.62, 3.9, 4.16, 4.36, 4.55, 4.71, 4.88, 5.09, 5.38, 5.58, 5.86, 6.17];
/** Of gaps: ln of the gap by the viewer's median. Gaps that follow each other are independent (r = 0.03). */
const GAP_BY_MEDIAN = [-3.67, -2.17, -1.76, -1.39, -0.92, -0.55, -0.23, 0, 0.23, 0.57, 0.97, 1.57, 2.11, 2.74, 3.54];
const SPEED_UP = 50;
const FASTEST_GAP_MS = 110;
const EMOJI = 6;
const EMOJI_SHARES = [0.34, 0.22, 0.12, 0.11, 0.11, 0.1];
const BATCH_MS = 250;
const COMMIT_MS = 10;
const BURST_TAPS_MEDIAN = 6;

export function seeded(seed: number): Random {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

export interface Crowd {
  readonly seed: number;
  readonly humans: number;
  /** Bots of each kind. */
  readonly bots: number;
  readonly durationMs: number;
  /** Taps of recorded people, which take the place of the modelled ones. */
  readonly recorded?: readonly (readonly Tap[])[];
}

export function population({ seed, humans, bots, durationMs, recorded }: Crowd): Population {
  const random = seeded(seed);
  const members: Member[] = [];
  const arrivals: Arrival[] = [];
  const applause = [0.3, 0.7].map((share) => share * durationMs);
  const add = (kind: Kind, taps: readonly Tap[], where: Pick<Member, 'device' | 'address'>, client: Client): void => {
    const isBot = (BOTS as readonly string[]).includes(kind);
    const member: Member = { kind, isBot, viewer: `${kind}-${members.length}`, ...where };
    members.push(member);
    for (const { at, emoji, counts } of gathered(taps, client, random)) arrivals.push({ at, member, emoji, counts });
  };
  for (let index = 0; index < humans; index++) {
    const kind = recorded !== undefined ? 'recorded' : pickHuman(random);
    const taps = recorded?.[index % recorded.length] ?? humanTaps(kind, durationMs, applause, random);
    const client: Client = { gathers: random() < 0.9 ? 'player' : 'timer', lagMs: 20 + 60 * random(), awayFrom: random() < 0.02 ? random() * durationMs : null };
    add(kind, within(taps, durationMs), homeOf(index, random), client);
  }
  for (let index = 0; index < bots; index++) {
    for (const kind of BOTS) {
      const { taps, client } = botTaps(kind, durationMs, applause, random);
      const address = kind === 'devices' ? 'net-bots' : `net-${kind}-${index}`;
      add(kind, within(taps, durationMs), { device: `device-${kind}-${index}`, address }, client);
    }
  }
  arrivals.sort((one, other) => one.at - other.at);
  return { members, arrivals };
}

interface Client {
  /** The player spreads its batches by a tenth; a timer does not; single sends each tap by itself, burst as they come. */
  readonly gathers: 'player' | 'timer' | 'single';
  readonly lagMs: number;
  readonly awayFrom: number | null;
}

const AWAY_MS = 20_000;

/** Taps → batches, delayed by the network, at the time of their commits. */
function* gathered(taps: readonly Tap[], { gathers, lagMs, awayFrom }: Client, random: Random): Generator<{ at: number; emoji: number[]; counts: number[] }> {
  let nextAt = -Infinity;
  let index = 0;
  while (index < taps.length) {
    const first = taps[index]!.at;
    let sentAt = gathers === 'single' ? first : Math.max(first, nextAt);
    if (gathers === 'timer') sentAt = Math.ceil(first / BATCH_MS) * BATCH_MS;
    if (awayFrom !== null && sentAt >= awayFrom && sentAt < awayFrom + AWAY_MS) sentAt = awayFrom + AWAY_MS;
    const counts = new Map<number, number>();
    do {
      const { emoji } = taps[index]!;
      counts.set(emoji, (counts.get(emoji) ?? 0) + 1);
      index += 1;
    } while (index < taps.length && taps[index]!.at <= sentAt);
    nextAt = sentAt + BATCH_MS * (0.9 + 0.2 * random());
    const arrivedAt = sentAt + lagMs * (1 - 0.15 * Math.log(1 - random()));
    yield { at: Math.ceil(arrivedAt / COMMIT_MS) * COMMIT_MS, emoji: [...counts.keys()], counts: [...counts.values()] };
  }
}

function within(taps: readonly Tap[], durationMs: number): Tap[] {
  return taps.filter(({ at }) => at < durationMs);
}

function pickHuman(random: Random): (typeof HUMANS)[number] {
  const draw = random();
  return draw < 0.77 ? 'recorded' : draw < 0.97 ? 'bursty' : 'fan';
}

/** Most live apart, some share a network of their provider, every tenth sits on a campus. */
function homeOf(index: number, random: Random): Pick<Member, 'device' | 'address'> {
  const draw = random();
  const device = random() < 0.5 ? `device-${index}` : null;
  if (draw < 0.1) return { device, address: `campus-${index % 3}` };
  return { device, address: draw < 0.4 ? `provider-${index % 40}` : `home-${index}` };
}

function humanTaps(kind: (typeof HUMANS)[number], durationMs: number, applause: readonly number[], random: Random): Tap[] {
  const nextEmoji = emojiOf(random);
  const tempo = tempoOf(random);
  const nextGap = gapsOf(random);
  const taps: Tap[] = [];
  let at = random() * 20_000;
  while (at < durationMs) {
    const length = kind === 'fan' ? 60 * normalLog(0.9, random) : kind === 'bursty' ? BURST_TAPS_MEDIAN * normalLog(1, random) : random() < 0.95 ? 1 : 2 + 3 * random();
    at = burst(taps, at, Math.ceil(length), tempo, nextEmoji);
    // A fan's pause is a breath; some never take one.
    at += kind === 'fan' ? 300 + 4000 * random() ** 2 : nextGap();
  }
  for (const moment of applause) {
    if (random() < 0.5) continue;
    // Whoever applauds does nothing else meanwhile.
    const from = moment + 3000 * random();
    const until = from + 10_000 + 30_000 * random() ** 2;
    const others = taps.filter((tap) => tap.at < from || tap.at > until);
    taps.length = 0;
    taps.push(...others);
    for (let time = from; time < until; ) time = burst(taps, time, 8, tempo, nextEmoji);
    taps.sort((one, other) => one.at - other.at);
  }
  return taps;
}

/** Taps at the viewer's tempo; answers when the next one would come. */
function burst(taps: Tap[], from: number, length: number, tempo: () => number, nextEmoji: () => number): number {
  let at = from;
  for (let index = 0; index < length; index++) {
    taps.push({ at, emoji: nextEmoji() });
    at += tempo();
  }
  return at;
}

/** Milliseconds between two taps of one person: a tempo of their own, which drifts, and the unevenness of fingers. */
function tempoOf(random: Random): () => number {
  const own = 200 * normalLog(0.33, random);
  const uneven = 0.12 + 0.18 * random();
  let drift = 0;
  return () => {
    drift = 0.98 * drift + 0.02 * normal(random);
    return Math.max(FASTEST_GAP_MS, own * (1 + drift) * (1 + uneven * normal(random)));
  };
}

/** Milliseconds between two reactions of one person, as recorded. */
function gapsOf(random: Random): () => number {
  const median = quantile(MEDIAN_GAP, random());
  return () => Math.max(FASTEST_GAP_MS, (Math.exp(median + quantile(GAP_BY_MEDIAN, random())) * 1000) / SPEED_UP);
}

function emojiOf(random: Random): () => number {
  const favourite = pickEmoji(random);
  const faithful = random() < 1 / 3 ? 1 : 0.3 + 0.5 * random();
  return () => (random() < faithful ? favourite : pickEmoji(random));
}

function botTaps(kind: Bot, durationMs: number, applause: readonly number[], random: Random): { taps: Tap[]; client: Client } {
  const wired: Client = { gathers: 'player', lagMs: 5 + 30 * random(), awayFrom: null };
  const single: Client = { ...wired, gathers: 'single' };
  switch (kind) {
    case 'metronome': {
      const period = 100 + 400 * random();
      return { taps: series(durationMs, () => period, emojiOf(random), random), client: random() < 0.5 ? single : wired };
    }
    case 'flood': {
      const perSecond = 25 * 8 ** random();
      return { taps: series(durationMs, () => (2 * random() * 1000) / perSecond, emojiOf(random), random), client: wired };
    }
    case 'swarm': {
      const period = 400 + 200 * random();
      // A Poisson process: as random as can be.
      return { taps: series(durationMs, () => -Math.log(1 - random()) * period, () => 2, random), client: wired };
    }
    case 'devices': {
      const period = 270 + 120 * random();
      return { taps: series(durationMs, () => period * (0.4 + 1.2 * random()), () => Math.floor(random() * EMOJI), random), client: wired };
    }
    case 'replay':
      return { taps: humanTaps('bursty', durationMs, applause, random), client: wired };
  }
}

function series(durationMs: number, gap: () => number, nextEmoji: () => number, random: Random): Tap[] {
  const taps: Tap[] = [];
  for (let at = 10_000 * random(); at < durationMs; at += gap()) taps.push({ at, emoji: nextEmoji() });
  return taps;
}

function pickEmoji(random: Random): number {
  let draw = random();
  for (let emoji = 0; emoji < EMOJI - 1; emoji++) {
    draw -= EMOJI_SHARES[emoji]!;
    if (draw < 0) return emoji;
  }
  return EMOJI - 1;
}

function quantile(values: readonly number[], share: number): number {
  let index = 1;
  while (index < SHARES.length - 1 && SHARES[index]! < share) index += 1;
  const part = (share - SHARES[index - 1]!) / (SHARES[index]! - SHARES[index - 1]!);
  return values[index - 1]! + part * (values[index]! - values[index - 1]!);
}

function normal(random: Random): number {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
}

function normalLog(sigma: number, random: Random): number {
  return Math.exp(sigma * normal(random));
}
