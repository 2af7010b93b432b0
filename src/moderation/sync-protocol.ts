/**
 * The messages of y-websocket, as bytes: what a stock `WebsocketProvider` says and understands.
 *
 * Only the outer shape is read here; what an update holds is for the document's gate. Awareness (who else is here,
 * and where their cursor is) is taken in and forgotten: nobody can then speak for another [MOD-13]. The provider
 * closes a connection on which nothing came for 30 s, which `keepAliveMessage` prevents: an awareness of nobody.
 */

import * as decoding from 'lib0/decoding';
import * as encoding from 'lib0/encoding';
import { messageYjsSyncStep1, messageYjsSyncStep2, messageYjsUpdate } from 'y-protocols/sync';

const SYNC = 0;
const AWARENESS = 1;
const QUERY_AWARENESS = 3;

/** Bytes that are no message of a provider. */
export class MalformedSync extends Error {
  override readonly name = 'MalformedSync';
}

export type SyncMessage =
  /** The sender has what the vector says, and asks for the rest. */
  | { readonly kind: 'question'; readonly vector: Uint8Array }
  | { readonly kind: 'update'; readonly update: Uint8Array }
  /** Of no consequence. */
  | { readonly kind: 'awareness' };

/** @throws MalformedSync */
export function readSyncMessage(bytes: Uint8Array): SyncMessage {
  const decoder = decoding.createDecoder(bytes);
  try {
    const message = messageOf(decoder);
    if (message !== null && !decoding.hasContent(decoder)) return message;
  } catch (error) {
    throw new MalformedSync('a message ends too early', { cause: error });
  }
  throw new MalformedSync('no message that a moderator sends');
}

function messageOf(decoder: decoding.Decoder): SyncMessage | null {
  switch (decoding.readVarUint(decoder)) {
    case SYNC:
      return syncMessageOf(decoder);
    case AWARENESS:
      decoding.readVarUint8Array(decoder);
      return { kind: 'awareness' };
    case QUERY_AWARENESS:
      return { kind: 'awareness' };
    default:
      return null;
  }
}

function syncMessageOf(decoder: decoding.Decoder): SyncMessage | null {
  const kind = decoding.readVarUint(decoder);
  const bytes = decoding.readVarUint8Array(decoder);
  if (kind === messageYjsSyncStep1) return { kind: 'question', vector: bytes };
  return kind === messageYjsSyncStep2 || kind === messageYjsUpdate ? { kind: 'update', update: bytes } : null;
}

/** What we have: asks for what it lacks. */
export function questionMessage(vector: Uint8Array): Uint8Array {
  return syncMessage(messageYjsSyncStep1, vector);
}

/** The answer to a question; the provider is `synced` upon it. */
export function answerMessage(update: Uint8Array): Uint8Array {
  return syncMessage(messageYjsSyncStep2, update);
}

export function updateMessage(update: Uint8Array): Uint8Array {
  return syncMessage(messageYjsUpdate, update);
}

export function keepAliveMessage(): Uint8Array {
  const nobody = Uint8Array.of(0);
  return encoding.encode((encoder) => {
    encoding.writeVarUint(encoder, AWARENESS);
    encoding.writeVarUint8Array(encoder, nobody);
  });
}

function syncMessage(kind: number, bytes: Uint8Array): Uint8Array {
  return encoding.encode((encoder) => {
    encoding.writeVarUint(encoder, SYNC);
    encoding.writeVarUint(encoder, kind);
    encoding.writeVarUint8Array(encoder, bytes);
  });
}

/** True of what answers a question, among messages that `readSyncMessage` takes. */
export function isAnswer(bytes: Uint8Array): boolean {
  return bytes[0] === SYNC && bytes[1] === messageYjsSyncStep2;
}
