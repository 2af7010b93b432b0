/**
 * The effects that a fault must have, or its scenario has tried nothing: as words, and as a look at what was seen from the
 * beginning of the fault until all was answered. Pure.
 */

import type { Seen } from './observer.ts';
import type { RegionName } from './rig.ts';

export interface Effect {
  readonly text: string;
  holds(seen: Seen): boolean;
  /** What was seen instead. */
  found(seen: Seen): string;
}

function atLeast(text: string, unit: string, min: number, value: (seen: Seen) => number): Effect {
  return {
    text: `${text}: at least ${min}${unit}`,
    holds: (seen) => value(seen) >= min,
    found: (seen) => `${Math.round(value(seen))}${unit}`,
  };
}

/** What a region shows of the taps of another one is old. */
export const apart = (viewer: RegionName, home: RegionName, ms = 2_000): Effect =>
  atLeast(`${viewer} shows old counts of ${home}`, ' ms', ms, (seen) => seen.apartMs(viewer, home).longest);

/** What a region hears of another one is mostly older than what a third one hears of it. */
export const slower = (viewer: RegionName, than: RegionName, home: RegionName, ms: number): Effect =>
  atLeast(`${viewer} hears of ${home} later than ${than} does`, ' ms', ms, (seen) => seen.apartMs(viewer, home).typical - seen.apartMs(than, home).typical);

/** What a region hears of another one is, at worst, older than what it hears of a third one. */
export const staler = (viewer: RegionName, home: RegionName, than: RegionName, ms: number): Effect =>
  atLeast(`${viewer} hears of ${home} later than of ${than}, at worst`, ' ms', ms, (seen) => seen.apartMs(viewer, home).longest - seen.apartMs(viewer, than).longest);

/** A region answers nobody. */
export const silent = (region: RegionName, ms = 2_000): Effect => atLeast(`${region} answers nothing`, ' ms', ms, (seen) => seen.silentMs(region));

/** Nothing is acknowledged to those who come back to a region. */
export const stalled = (region: RegionName, ms = 2_000): Effect => atLeast(`${region} acknowledges nothing`, ' ms', ms, (seen) => seen.stalledMs(region));

export const grew = (region: RegionName, metric: string, min = 1): Effect => atLeast(`${metric} of ${region}`, '', min, (seen) => seen.grown(region, metric));

export const reached = (region: RegionName, metric: string, min: number): Effect => atLeast(`${metric} of ${region}`, '', min, (seen) => seen.peak(region, metric));

/** Other processes served as the region. */
export const newLives = (region: RegionName, min = 1): Effect => atLeast(`new lives of ${region}`, '', min, (seen) => seen.newLives(region));

export const reconnected = (min = 1): Effect => atLeast('connections begun anew', '', min, (seen) => seen.reconnects);

/** Batches that were resent are answered as counted before. */
export const duplicated = (min = 1): Effect => atLeast('resent batches that had been counted', '', min, (seen) => seen.duplicates);

export const moved = (min = 1): Effect => atLeast('moves to another region', '', min, (seen) => seen.moves);

/** What movers brought along is claimed by a region, and settled. */
export const claimed = (region: RegionName, min = 1): Effect => grew(region, 'aggregator_claims_settled_total', min);

/** What two regions had counted is taken back by the one that claimed it. */
export const gaveBack = (region: RegionName): Effect => grew(region, 'aggregator_taps_given_back_total');

/** What a fault should have done, and has not. */
export function missingEffects(effects: readonly Effect[], seen: Seen): string[] {
  return effects.filter((effect) => !effect.holds(seen)).map((effect) => `the fault had no effect: ${effect.text}; seen: ${effect.found(seen)}`);
}
