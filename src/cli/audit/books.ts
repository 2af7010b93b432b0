/** The books of one stream as every region and the database have them, and how to get them. */

import { CommandFailure, describeError } from '../failure.ts';

export interface Entry {
  readonly actor: string;
  readonly emoji: string;
  readonly increments: number;
  readonly decrements: number;
}

export interface Books {
  readonly region: string;
  readonly digest: string;
  /** The actor that the region writes as now. */
  readonly actor: string;
  /** All of them, where several shards count the stream. */
  readonly actors?: readonly string[];
  /** Taps acknowledged as counted by these. */
  readonly acknowledged: number;
  /** Batches of any stream that the region counted and another one may have counted as well. */
  readonly claimsInDoubt?: number;
  readonly entries: readonly Entry[];
  /** What the database holds, or why that is not known. */
  readonly stored: readonly Entry[] | { readonly unknown: string };
}

const ANSWER_MS_MAX = 10_000;

/** @throws CommandFailure */
export async function fetchBooks(endpoint: string, stream: string, token: string | null = null): Promise<Books> {
  const url = `${endpoint}/streams/${stream}/audit`;
  let response: Response;
  let document: unknown;
  try {
    response = await fetch(url, {
      signal: AbortSignal.timeout(ANSWER_MS_MAX),
      headers: token === null ? {} : { authorization: `Bearer ${token}` },
    });
    document = await response.json();
  } catch (error) {
    throw new CommandFailure('unreachable', `${url} does not answer (${describeError(error)}); is the region running?`);
  }
  if (!response.ok) {
    const { detail, title } = document as { detail?: string; title?: string };
    const reason = response.status >= 500 ? 'unreachable' : 'usage';
    throw new CommandFailure(reason, `${url} answers ${response.status}: ${detail ?? title ?? 'no reason given'}`);
  }
  try {
    return parseBooks(document);
  } catch (error) {
    throw new CommandFailure('unreachable', `${url} does not answer as Ovation does (${describeError(error)})`);
  }
}

function parseBooks(document: unknown): Books {
  const fields = document as Record<string, unknown>;
  return {
    region: text(fields['region'], 'region'),
    digest: text(fields['digest'], 'digest'),
    actor: text(fields['actor'], 'actor'),
    ...(Array.isArray(fields['actors']) ? { actors: fields['actors'].map((actor) => text(actor, 'actor')) } : {}),
    acknowledged: count(fields['acknowledged'], 'acknowledged'),
    claimsInDoubt: count(fields['claims_in_doubt'] ?? 0, 'claims_in_doubt'),
    entries: entries(fields['entries']),
    stored:
      fields['stored'] === null
        ? { unknown: typeof fields['stored_reason'] === 'string' ? fields['stored_reason'] : 'the region does not say why' }
        : entries(fields['stored']),
  };
}

function entries(value: unknown): Entry[] {
  if (!Array.isArray(value)) throw new TypeError('entries are missing');
  return value.map((item: Record<string, unknown>) => ({
    actor: text(item['actor'], 'actor'),
    emoji: text(item['emoji_id'], 'emoji_id'),
    increments: count(item['increments'], 'increments'),
    decrements: count(item['decrements'], 'decrements'),
  }));
}

function text(value: unknown, name: string): string {
  if (typeof value !== 'string') throw new TypeError(`${name} is no text`);
  return value;
}

function count(value: unknown, name: string): number {
  if (!Number.isSafeInteger(value)) throw new TypeError(`${name} is no count`);
  return value as number;
}
