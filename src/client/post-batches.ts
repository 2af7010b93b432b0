/**
 * Batches over HTTP: where WebSocket is blocked, and when the page is left. Each names the region it is for: an
 * address that meanwhile leads elsewhere refuses what does not say that it was here [SDK-3].
 */

import type { Ack, BatchMessage, ErrorMessage } from '../protocol/messages.ts';
import { serverMessageOf } from '../protocol/server-messages.ts';
import type { Platform } from './client-types.ts';

/** Who sends what where. */
export interface Post {
  readonly endpoint: string;
  /** Empty when none is known: then whichever answers may count them. */
  readonly region: string;
  readonly streamId: string;
  readonly viewerId: string;
  readonly sessionId: string;
  readonly token: string | undefined;
  readonly batches: readonly BatchMessage[];
}

/** Browsers let pages that are left send 64 KiB in all. */
const BODY_CHARACTERS_MAX = 60_000;
const POST_MS_MAX = 8_000;

interface Problem {
  readonly type: unknown;
  readonly detail: unknown;
  readonly status: number;
}

/** What became of each batch, or of the older ones when something on the way takes no more. @throws when no region answered */
export async function postBatches(fetch: NonNullable<Platform['fetch']>, post: Post): Promise<(Ack | ErrorMessage)[]> {
  const { batches } = post;
  const response = await fetch(urlOf(post), { ...requestOf(post), signal: AbortSignal.timeout(POST_MS_MAX) });
  if (response.status === 413 && batches.length > 1) return postBatches(fetch, halved(post));
  const answer = (await response.json()) as Problem & { readonly results?: readonly { readonly problem?: Problem }[] };
  return batches.map(({ seq }, index) => {
    const result = answer.results?.[index] ?? { problem: answer };
    const { problem } = result;
    if (problem === undefined) return serverMessageOf({ ...result, type: 'ack', seq }) as Ack;
    const { type, detail, status } = problem;
    return serverMessageOf({
      ...problem,
      type: 'error',
      seq,
      // A problem that is none of a region has no code, and is no answer.
      code: String(type).split('urn:ovation:problem:')[1],
      message: detail,
      // A refused token is no word about the batch.
      temporary: [401, 408, 421, 429].includes(status) || status >= 500,
    }) as ErrorMessage;
  });
}

/** With as many of its batches, the oldest first, as one body may hold. */
export function fitting(post: Post): Post {
  return post.batches.length > 1 && requestOf(post).body.length > BODY_CHARACTERS_MAX ? fitting(halved(post)) : post;
}

function halved(post: Post): Post {
  return { ...post, batches: post.batches.slice(0, post.batches.length / 2) };
}

/**
 * Sends without waiting for an answer, also beyond the end of the page. Never throws. No beacon does that: it would bring
 * cookies along, and browsers let nobody send those to an origin that allows all.
 */
export function postAndForget({ fetch }: Pick<Platform, 'fetch'>, post: Post): void {
  try {
    // A page that is left may send no more than one body.
    fetch?.(urlOf(post), { ...requestOf(fitting(post)), keepalive: true }).catch(() => {});
  } catch {
    // The batches are kept, in case the page comes back.
  }
}

function urlOf({ endpoint, region }: Post): string {
  return `${endpoint}/reactions${region && `?region=${encodeURIComponent(region)}`}`;
}

function requestOf({ streamId, viewerId, sessionId, token, batches }: Post) {
  return {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...(token === undefined ? {} : { authorization: `Bearer ${token}` }) },
    body: JSON.stringify(
      batches.map(({ seq, reactions, timestamp, via }) => ({
        stream_id: streamId,
        viewer_id: viewerId,
        session_id: sessionId,
        seq,
        timestamp,
        via,
        reactions: reactions.map(({ emoji_id, count }) => ({ emoji_id, count_since_last: count })),
      })),
    ),
  } as const;
}
