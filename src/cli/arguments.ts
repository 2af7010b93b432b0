/** Parsers of command-line arguments: text → value, or an error that says what is expected. */

import { InvalidArgumentError } from 'commander';
import { isId } from '../../crdt/ids.ts';

const UNITS_MS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 } as const;

/** `150ms`, `10s`, `2m`, `1h`, or a plain number of seconds → milliseconds. */
export function parseDuration(text: string): number {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h)?$/.exec(text);
  if (match === null) throw new InvalidArgumentError('Expected a duration such as 150ms, 10s or 2m.');
  return Number(match[1]) * UNITS_MS[(match[2] ?? 's') as keyof typeof UNITS_MS];
}

export function parseInteger(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = /^\d+$/.test(text) ? Number(text) : NaN;
    if (!(value >= min && value <= max)) throw new InvalidArgumentError(`Expected an integer from ${min} to ${max}.`);
    return value;
  };
}

export function parsePositive(max: number): (text: string) => number {
  return (text) => {
    const value = /^\d+(\.\d+)?$/.test(text) ? Number(text) : NaN;
    if (!(value > 0 && value <= max)) throw new InvalidArgumentError(`Expected a number above 0, at most ${max}.`);
    return value;
  };
}

/** `5%` or `5` → 0.05; up to 90 %. */
export function parsePercentage(text: string): number {
  const value = /^\d+(\.\d+)?%?$/.test(text) ? Number.parseFloat(text) / 100 : NaN;
  if (!(value > 0 && value <= 0.9)) throw new InvalidArgumentError('Expected a percentage above 0, at most 90%.');
  return value;
}

export function parseId(text: string): string {
  if (!isId(text)) throw new InvalidArgumentError('Expected 1 to 64 characters of A-Z a-z 0-9 _ -.');
  return text;
}

/** `us,eu,ap` → its parts, each an id, none twice. */
export function parseIds(text: string): string[] {
  const ids = text.split(',').map((id) => parseId(id.trim()));
  if (new Set(ids).size !== ids.length) throw new InvalidArgumentError('One of them is given twice.');
  return ids;
}

/** An http:// or https:// URL, without a slash at its end. */
export function parseHttpUrl(text: string): string {
  if (!URL.canParse(text) || !/^https?:$/.test(new URL(text).protocol)) {
    throw new InvalidArgumentError('Expected a URL such as http://127.0.0.1:8081.');
  }
  return text.replace(/\/+$/, '');
}

/** Collects an option that may be given several times or as a comma-separated list. */
export function collectHttpUrls(text: string, previous: readonly string[] = []): string[] {
  return [...previous, ...text.split(',').map((url) => parseHttpUrl(url.trim()))];
}
