/**
 * What mutated bytes say of taps, if anything, and what was answered to it, for the books. Bytes are read by the region's own
 * rules, which other tests look at: here it is about counting, and each of them that counts must have been counted once.
 */

import { decode } from '@msgpack/msgpack';
import { batchOf } from '../../src/edge/reaction-payload.ts';
import { decodeClientJson, decodeServerJson } from '../../src/protocol/json-codec.ts';
import { decodeClientMsgpack, decodeServerMsgpack } from '../../src/protocol/msgpack-codec.ts';
import type { ClientMessage } from '../../src/protocol/messages.ts';
import type { AnswerBooks, Said, Told } from './answer-books.ts';
import type { HttpAnswer } from './bare-connection.ts';

/** Nothing was acknowledged, but it may still come to be counted. */
const UNAVAILABLE = 'urn:ovation:problem:unavailable';

export type Encoding = 'json' | 'msgpack';

/** Of a batch in an answer to a post: what it has come to, or why not. */
export type Result = Told | { readonly problem: { readonly type: string } };

/** What is answered to each batch of a post; null when it says nothing of any. */
export function resultsOf({ status, body }: HttpAnswer): readonly Result[] | null {
  if (typeof status !== 'number') return null;
  const answer = JSON.parse(body.toString()) as { readonly results?: readonly Result[] } & Told;
  return answer.results ?? (status === 202 ? [answer] : null);
}

export function enterPost(books: AnswerBooks, encoding: Encoding, body: Uint8Array, answer: HttpAnswer): void {
  const { status } = answer;
  if (typeof status === 'number' && status !== 202 && status !== 503) return;
  const said = saidInPost(encoding, body);
  const results = resultsOf(answer);
  if (results === null) {
    const isUnknown = typeof status !== 'number' || answer.body.includes(UNAVAILABLE);
    for (const each of said) if (isUnknown && each !== null) books.unanswered(each);
    return;
  }
  for (const [index, result] of results.entries()) {
    const each = said[index] ?? null;
    if (!('problem' in result)) books.answered(each, result);
    else if (each !== null && result.problem.type === UNAVAILABLE) books.unanswered(each);
  }
}

/** Null in place of what is no batch. */
function saidInPost(encoding: Encoding, body: Uint8Array): (Said | null)[] {
  let value: unknown;
  try {
    value = encoding === 'json' ? JSON.parse(Buffer.from(body).toString()) : decode(body);
  } catch {
    return [];
  }
  return (Array.isArray(value) ? value : [value]).map((item: unknown) => {
    try {
      const { session, sequence, reactions } = batchOf(item, null);
      return { session, seq: sequence, reactions };
    } catch {
      return null;
    }
  });
}

/** The batches of one connection, in the order in which they are answered. */
export class SaidOnSocket {
  readonly #encoding: Encoding;
  readonly #bySeq = new Map<number, Said[]>();
  readonly #open: Said[] = [];

  /** `hello` is what was said before, and is good; null for nothing. */
  constructor(encoding: Encoding, hello: { readonly session: string; readonly viewer: string } | null, messages: readonly { readonly isBinary: boolean; readonly payload: Uint8Array }[]) {
    this.#encoding = encoding;
    if (hello === null) return;
    let { session } = hello;
    for (const { isBinary, payload } of messages) {
      const message = isBinary === (encoding === 'msgpack') ? clientMessageOf(encoding, payload) : null;
      // What comes behind it is not read.
      if (message === null || (message.type === 'hello' && message.viewer_id !== hello.viewer)) return;
      if (message.type === 'hello') session = message.session_id;
      else this.#say({ session, seq: message.seq, reactions: message.reactions.map(({ emoji_id, count }) => [emoji_id, count]) });
    }
  }

  hear(books: AnswerBooks, payload: Buffer): void {
    const message = this.#encoding === 'json' ? decodeServerJson(payload.toString()) : decodeServerMsgpack(payload);
    if (message.type !== 'ack' && message.type !== 'error') return;
    const said = this.#bySeq.get(message.seq)?.shift() ?? null;
    if (message.type === 'ack') books.answered(said, message);
    else if (message.code === 'unavailable' && said !== null) books.unanswered(said);
    if (said !== null) this.#open.splice(this.#open.indexOf(said), 1);
  }

  /** No answer comes any more. */
  end(books: AnswerBooks): void {
    for (const said of this.#open) books.unanswered(said);
  }

  #say(said: Said): void {
    this.#open.push(said);
    const others = this.#bySeq.get(said.seq);
    if (others === undefined) this.#bySeq.set(said.seq, [said]);
    else others.push(said);
  }
}

function clientMessageOf(encoding: Encoding, payload: Uint8Array): ClientMessage | null {
  try {
    return encoding === 'json' ? decodeClientJson(Buffer.from(payload).toString()) : decodeClientMsgpack(payload);
  } catch {
    return null;
  }
}
