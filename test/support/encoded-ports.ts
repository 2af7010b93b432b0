/**
 * The two ports between edges and aggregators over a channel: every message is encoded and decoded,
 * and arrives in a later turn, in order. What works over this works between processes.
 */

import { isDeepStrictEqual } from 'node:util';
import { decode, encode } from '@msgpack/msgpack';
import type { Ingest } from '../../src/aggregator/ingest.ts';
import type { FrameFeed } from '../../src/broadcaster/frame-feed.ts';

/** What crossed the channel is no plain serializable message. */
export class NotPlain extends Error {
  override readonly name = 'NotPlain';
}

export function encodedIngest(ingest: Ingest): Ingest {
  const there = createChannel();
  const back = createChannel();
  return {
    submit(batch, done) {
      there(batch, (received) => ingest.submit(received, (reply) => back(reply, done)));
    },
  };
}

export function encodedFrameFeed(feed: FrameFeed): FrameFeed {
  const there = createChannel();
  const back = createChannel();
  const ask = <Question, Answer>(question: Question, answer: (question: Question) => Promise<Answer>): Promise<Answer> =>
    new Promise((resolve, reject) => {
      there(question, (received) => {
        answer(received).then((value) => back(value, resolve), reject);
      });
    });
  return {
    watch: (stream, viewers) => there({ stream, viewers }, (received) => feed.watch(received.stream, received.viewers)),
    onFrame: (listener) => feed.onFrame((frame) => back(frame, listener)),
    read: (stream) => ask(stream, (received) => feed.read(received)),
    books: (stream) => ask(stream, (received) => feed.books(received)),
    streams: (limit, among) => ask({ limit, among }, (received) => feed.streams(received.limit, received.among)),
  };
}

type Send = <Message>(message: Message, receive: (message: Message) => void) => void;

function createChannel(): Send {
  const waiting: (() => void)[] = [];
  return (message, receive) => {
    const received = decode(encode(message)) as typeof message;
    // Maps, dates, functions and undefined fields are lost or changed on the way; better to hear of it here.
    if (!isDeepStrictEqual(received, message)) throw new NotPlain(`a message changed on its way: ${JSON.stringify(message)}`);
    waiting.push(() => receive(received));
    if (waiting.length > 1) return;
    setImmediate(() => {
      for (const deliver of waiting.splice(0)) deliver();
    });
  };
}
