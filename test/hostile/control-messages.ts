/** Messages of hostile moderators, as bytes: updates that Yjs would never write, and awareness of somebody else. */

import * as encoding from 'lib0/encoding';

/** Each update is another client's first, because what is known of a client is not taken again. */
let lastClient = 1_000_000;
/** A value of any kind, under a key and with no neighbours. */
const ITEM_OF_ANY = 8 | 0x20;
const AWARENESS = 1;
const [ANY_NULL, ANY_OBJECT, ANY_LIST] = [126, 118, 117];

/** Values in each other, so many of them. */
export function nestedUpdate(depth: number, kind: 'list' | 'object' | 'prototype'): Uint8Array {
  return updateOf([['palette', 'star']], (encoder) => {
    for (let level = 0; level < depth; level++) {
      encoding.writeUint8(encoder, kind === 'list' ? ANY_LIST : ANY_OBJECT);
      encoding.writeVarUint(encoder, 1);
      if (kind !== 'list') encoding.writeVarString(encoder, kind === 'object' ? 'a' : '__proto__');
    }
    encoding.writeUint8(encoder, ANY_NULL);
  });
}

/** A value under a key of a map, whatever both are called. */
export function keyedUpdate(section: string, key: string, value: unknown): Uint8Array {
  return updateOf([[section, key]], (encoder) => encoding.writeAny(encoder, value as never));
}

/** So many emoji. */
export function paletteUpdate(emoji: number): Uint8Array {
  const keys = Array.from({ length: emoji }, (_, index) => ['palette', `e${index}`] as const);
  return updateOf(keys, (encoder) => encoding.writeAny(encoder, { glyph: '*' }));
}

/** Says that this client, which need not be the sender, is here. */
export function awarenessMessage(whom: number): Uint8Array {
  return encoding.encode((encoder) => {
    encoding.writeVarUint(encoder, AWARENESS);
    encoding.writeVarUint8Array(
      encoder,
      encoding.encode((inner) => {
        for (const number of [1, whom, 99]) encoding.writeVarUint(inner, number);
        encoding.writeVarString(inner, '{"name":"ada"}');
      }),
    );
  });
}

function updateOf(keys: readonly (readonly [section: string, key: string])[], writeValue: (encoder: encoding.Encoder) => void): Uint8Array {
  lastClient += 1;
  return encoding.encode((encoder) => {
    // One client, its structs, its name and where its clock begins.
    for (const number of [1, keys.length, lastClient, 0]) encoding.writeVarUint(encoder, number);
    for (const [section, key] of keys) {
      encoding.writeUint8(encoder, ITEM_OF_ANY);
      encoding.writeVarUint(encoder, 1);
      encoding.writeVarString(encoder, section);
      encoding.writeVarString(encoder, key);
      encoding.writeVarUint(encoder, 1);
      writeValue(encoder);
    }
    // Nothing is deleted.
    encoding.writeVarUint(encoder, 0);
  });
}
