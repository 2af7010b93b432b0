/**
 * Mutes as moderators decide them: one record for each decision, so that decisions never overwrite each other. Pure.
 *
 * A record is never replaced by another one: it is added, lifted by those who know of it, and removed long after its end.
 * So what moderators of both sides of a cut decide of one viewer holds together, and a lift ends what its moderator knew
 * of (an observed-remove set, Shapiro et al. 2011, in which adding wins) [MOD-23]. Who is muted while any record is in force
 * needs one record only to be asked: the one that lasts longest. What records take back is not asked by subject and adds up.
 */

import { isViewerId } from '../protocol/message-rules.ts';
import { takenBackBy, type Mute, type Retraction } from './policy.ts';

export interface MuteSubject {
  readonly kind: 'viewer' | 'device';
  readonly id: string;
}

export interface MuteRecord {
  /** `<decision>:viewer:<id>` or `<decision>:device:<id>`. */
  readonly key: string;
  readonly subject: MuteSubject;
  readonly mute: Mute;
}

const RECORD_KEY = /^[a-z0-9]{1,32}:(viewer|device):/;
/** A client of Yjs is 32 bits: seven digits of base 36. */
const CLIENT_DIGITS = 7;

/** Whom the record of this key is about; null when it is no key of a record. */
export function subjectOfRecord(key: string): MuteSubject | null {
  const [start, kind] = RECORD_KEY.exec(key) ?? [];
  const id = start === undefined ? '' : key.slice(start.length);
  return isViewerId(id) ? { kind: kind as MuteSubject['kind'], id } : null;
}

/**
 * The key of a new record. Who decides is told by a number that no other page or command has (`client`, of Yjs), and
 * what by the time, or by a later one when the same client has decided on the same subject at that time before.
 */
export function recordKeyOf(subject: MuteSubject, client: number, at: number, isTaken: (key: string) => boolean): string {
  const who = client.toString(36).padStart(CLIENT_DIGITS, '0');
  for (let time = Math.floor(at); ; time += 1) {
    const key = `${who}${time.toString(36)}:${subjectKey(subject)}`;
    if (!isTaken(key)) return key;
  }
}

export function subjectKey({ kind, id }: MuteSubject): string {
  return `${kind}:${id}`;
}

/** Of each subject, by `viewer:<id>` or `device:<id>`, the mute that counts. The records are in any order. */
export function effectiveMutes(records: readonly MuteRecord[]): Map<string, Mute> {
  const counts = new Map<string, MuteRecord>();
  for (const record of records) {
    const key = subjectKey(record.subject);
    const held = counts.get(key);
    if (held === undefined || (compareMutes(record.mute, held.mute) || (record.key < held.key ? 1 : -1)) > 0) counts.set(key, record);
  }
  return new Map(Array.from(counts, ([key, { mute }]) => [key, mute]));
}

/** What the records take back, each by itself, in their order. */
export function retractionsOf(records: readonly MuteRecord[]): readonly Retraction[] {
  return Object.freeze(
    records.flatMap(({ subject, mute }) => {
      const time = takenBackBy(mute);
      return time === null ? [] : [Object.freeze({ ...subject, ...time })];
    }),
  );
}

/** By id, of two documents; of equals that of the first is heard. Who is muted by one stays so when a mute of the other ends. */
export function joinedMutes(kind: MuteSubject['kind'], first: ReadonlyMap<string, Mute>, second: ReadonlyMap<string, Mute>): ReadonlyMap<string, Mute> {
  const found = new Map<string, Mute>();
  for (const mutes of [first, second]) {
    for (const [key, mute] of mutes) {
      if (!key.startsWith(kind)) continue;
      const id = key.slice(kind.length + 1);
      const held = found.get(id);
      if (held === undefined || compareMutes(mute, held) > 0) found.set(id, mute);
    }
  }
  return found;
}

export function joinedRetractions(first: readonly Retraction[], second: readonly Retraction[]): readonly Retraction[] {
  if (second.length === 0) return first;
  return first.length === 0 ? second : Object.freeze([...first, ...second]);
}

/**
 * Positive when the first counts rather than the second: the one that is in force for longer; of those that were lifted,
 * the one that ended last; then the newer one.
 */
export function compareMutes(a: Mute, b: Mute): number {
  // Infinities have no difference.
  const order = (one: number, other: number): number => (one === other ? 0 : one - other);
  return order(inForceUntil(a), inForceUntil(b)) || order(endOf(a), endOf(b)) || order(a.at, b.at);
}

/** When a mute is over for those who count, lifted or not. */
export function endOf({ until, liftedAt }: Mute): number {
  return Math.min(until ?? Infinity, liftedAt ?? Infinity);
}

/** The time before which it is in force; nobody knows here what time it is. */
function inForceUntil({ until, liftedAt }: Mute): number {
  return liftedAt === null ? (until ?? Infinity) : -Infinity;
}
