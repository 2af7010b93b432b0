/**
 * Actors: the single writers of counter entries, `region/shard/epoch`.
 *
 * An epoch is one life of a shard. Because an actor id is never used by two lives, a process that
 * lost state can never write below a maximum that peers already hold (the G-counter bug of
 * riak_kv#1070 and scylla#2169).
 */

import { MalformedId, isId } from './ids.ts';

declare const actorBrand: unique symbol;

/** `region/shard/epoch`, as text: what maps are keyed by and what is stored. */
export type ActorId = string & { readonly [actorBrand]: true };

export interface Actor {
  readonly region: string;
  /** A small integer from 0. */
  readonly shard: number;
  /** A positive integer, greater than that of every earlier life of the shard. */
  readonly epoch: number;
}

/** @throws MalformedId */
export function actorId(actor: Actor): ActorId {
  if (!isId(actor.region) || !isIndex(actor.shard) || !isEpoch(actor.epoch)) throw new MalformedId('actor');
  return `${actor.region}/${actor.shard}/${actor.epoch}` as ActorId;
}

/** @throws MalformedId */
export function parseActorId(text: unknown): Actor {
  if (typeof text !== 'string') throw new MalformedId('actor');
  const parts = text.split('/');
  const [region, shardText, epochText] = parts;
  if (parts.length !== 3 || !isId(region)) throw new MalformedId('actor');
  const actor: Actor = { region, shard: Number(shardText), epoch: Number(epochText) };
  // Only the canonical spelling is an id, or one actor could appear under two keys.
  if (!isIndex(actor.shard) || !isEpoch(actor.epoch) || `${region}/${actor.shard}/${actor.epoch}` !== text) {
    throw new MalformedId('actor');
  }
  return actor;
}

/** The region part, without parsing the rest: used per merged entry. */
export function regionOf(actor: ActorId): string {
  return actor.slice(0, actor.indexOf('/'));
}

/**
 * The epoch of a new life of a shard.
 *
 * The clock makes it unique even when every durable trace of earlier lives was lost; the epochs
 * still known make it grow even when the clock was set back.
 */
export function mintEpoch(nowMs: number, knownEpochs: Iterable<number>): number {
  let epoch = Math.max(1, Math.floor(nowMs));
  for (const known of knownEpochs) epoch = Math.max(epoch, known + 1);
  return epoch;
}

function isIndex(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}

function isEpoch(value: number): boolean {
  return isIndex(value) && value > 0;
}
