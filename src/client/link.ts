/** The port between the engine and a connection, whichever way it travels. Types only. */

import type { BatchMessage, Hello, ServerMessage } from '../protocol/messages.ts';
import type { Loss } from './reconnect.ts';

export interface Link {
  /** Says who sends; once, after the `welcome`, before any batch. */
  hello(hello: Hello): void;
  send(batches: readonly BatchMessage[]): void;
  /** Ends it without a word to the listener. */
  close(): void;
}

export interface LinkEvents {
  /** A message of the service, checked; the first one is its `welcome`. */
  message(message: ServerMessage): void;
  /** It ended by itself, once and for all. */
  lost(loss: Pick<Loss, 'code' | 'reason' | 'wasSilent'>): void;
  /** A message that cannot be read, after the welcome. */
  unreadable(): void;
}
