/**
 * The grammar of the names that cross every border: stream, emoji and region ids.
 *
 * The grammar is narrow on purpose: an id is also a NATS subject token, a path segment and
 * a CSV field, so none of their special characters may occur in it. `__proto__` is
 * refused although it fits, because ids become keys of plain objects in JSON answers.
 */

declare const streamBrand: unique symbol;
declare const emojiBrand: unique symbol;

/** What is reacted to. */
export type StreamId = string & { readonly [streamBrand]: true };
/** What it is reacted to with. */
export type EmojiId = string & { readonly [emojiBrand]: true };

const ID_PATTERN = /^[A-Za-z0-9_-]{1,64}$/;

export class MalformedId extends Error {
  override readonly name = 'MalformedId';

  constructor(kind: string) {
    super(`${kind} must match [A-Za-z0-9_-]{1,64}`);
  }
}

export function isId(text: unknown): text is string {
  return typeof text === 'string' && ID_PATTERN.test(text) && text !== '__proto__';
}

/** @throws MalformedId */
export function parseStreamId(text: unknown): StreamId {
  if (!isId(text)) throw new MalformedId('stream id');
  return text as StreamId;
}

/** @throws MalformedId */
export function parseEmojiId(text: unknown): EmojiId {
  if (!isId(text)) throw new MalformedId('emoji id');
  return text as EmojiId;
}
