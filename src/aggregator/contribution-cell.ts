/**
 * The cell of a contribution: what its eight integers mean. `contribution-ring.ts` keeps them.
 *
 * It says of one viewer, device, emoji and second how many taps were counted and how many of them were taken back.
 */

import { WINDOW_MS } from '../base/window.ts';

// The columns of a cell.
export const SECOND = 0;
export const VIEWER = 1;
export const DEVICE = 2;
/** The emoji's number, the millisecond of the second in which it was counted last, and whether it changed. */
export const EMOJI = 3;
export const COUNTED = 4;
export const RETRACTED = 5;
/** The cell's identity: its number, and that of the actor that made it. */
export const NUMBER = 6;
export const ACTOR = 7;
/** Beside the emoji: what changed of the cell is still to be taken. */
export const CHANGED = 1 << 30;
export const COUNT_MAX = 2 ** 31 - 1;
const MILLISECOND_BITS = 10;
const MILLISECOND = (1 << MILLISECOND_BITS) - 1;
/** Seconds count from 2020, which an Int32 holds until 2088. */
const EPOCH_SECONDS = Date.UTC(2020, 0) / WINDOW_MS;

/** Emoji have numbers below this one. */
export const EMOJI_NUMBERS_MAX = 1 << 20;

export function secondOf(timeMs: number): number {
  return Math.floor(timeMs / WINDOW_MS) - EPOCH_SECONDS;
}

export function millisecondsOf(second: number): number {
  return (second + EPOCH_SECONDS) * WINDOW_MS;
}

/** A new cell's integers. */
export function setCell(cells: Int32Array, at: number, second: number, viewer: number, device: number, emoji: number, number: number, actor: number): void {
  cells[at + SECOND] = second;
  cells[at + VIEWER] = viewer;
  cells[at + DEVICE] = device;
  cells[at + EMOJI] = emoji << MILLISECOND_BITS;
  cells[at + COUNTED] = 0;
  cells[at + RETRACTED] = 0;
  cells[at + NUMBER] = number;
  cells[at + ACTOR] = actor;
}

export function isCellOf(cells: Int32Array, at: number, viewer: number, device: number, emoji: number, second: number): boolean {
  return cells[at + SECOND] === second && cells[at + VIEWER] === viewer && cells[at + DEVICE] === device && emojiOf(cells, at) === emoji;
}

export function emojiOf(cells: Int32Array, at: number): number {
  return (cells[at + EMOJI]! & ~CHANGED) >> MILLISECOND_BITS;
}

/** When the last of it was counted. */
export function timeOf(cells: Int32Array, at: number): number {
  return millisecondsOf(cells[at + SECOND]!) + (cells[at + EMOJI]! & MILLISECOND);
}

export function raiseMillisecond(cells: Int32Array, at: number, millisecond: number): void {
  const held = cells[at + EMOJI]! & MILLISECOND;
  if (millisecond > held) cells[at + EMOJI] = (cells[at + EMOJI]! & ~MILLISECOND) | millisecond;
}
