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
const RETRY_MS = 1_000;

/** What became of each batch. @throws when there was no answer */
export async function postBatches(fetch: NonNullable<Platform['fetch']>, post: Post): Promise<(Ack | ErrorMessage)[]> {
  const response = await fetch(urlOf(post), { ...requestOf(post), signal: AbortSignal.timeout(POST_MS_MAX) });
  const answer = (await response.json()) as { readonly results?: unknown; readonly type?: unknown; readonly detail?: unknown };
  const retryAfterMs = Number(response.headers.get('retry-after')) * 1000 || RETRY_MS;
  const results: readonly unknown[] = Array.isArray(answer.results) ? answer.results : [];
  return post.batches.map(({ seq }, index) => {
    const result = results[index] as { readonly problem?: typeof answer & { readonly status?: number } } | undefined;
    if (result !== undefined && result.problem === undefined) return serverMessageOf({ ...result, type: 'ack', seq }) as Ack;
    const { type, detail, status = response.status } = result?.problem ?? { ...answer, status: response.status };
    return serverMessageOf({
      type: 'error',
      seq,
      code: String(type).replace('urn:ovation:problem:', ''),
      message: String(detail),
      // A refused token is no word about the batch.
      temporary: [401, 408, 421, 429].includes(status) || status >= 500 || status < 400,
      retry_after_ms: retryAfterMs,
    }) as ErrorMessage;
  });
}

/**
 * Sends without waiting for an answer, also beyond the end of the page. Never throws. No beacon does that: it would bring
 * cookies along, and browsers let nobody send those to an origin that allows all.
 */
export function postAndForget({ fetch }: Pick<Platform, 'fetch'>, post: Post): void {
  const request = requestOf(post);
  if (request.body.length > BODY_CHARACTERS_MAX) {
    const half = Math.ceil(post.batches.length / 2);
    // The older ones; a page that is left may send no more than that.
    return postAndForget({ fetch }, { ...post, batches: post.batches.slice(0, half) });
  }
  try {
    fetch?.(urlOf(post), { ...request, keepalive: true }).catch(() => {});
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
