/**
 * A connection over WebSocket. Bounded in time: a welcome must come within `CONNECT_MS_MAX`, and frames at
 * least every 2 s, so a longer silence is a dead connection. What does not speak the protocol is told apart
 * from a region that once sends a message that this client cannot read.
 */

import { MalformedMessage, expect } from '../protocol/message-rules.ts';
import { SUBPROTOCOL_MSGPACK, type ServerMessage } from '../protocol/messages.ts';
import { writeClientMessage } from '../protocol/msgpack-client-writer.ts';
import { serverMessageOfFields } from '../protocol/msgpack-fields.ts';
import { readMsgpack } from '../protocol/msgpack-reader.ts';
import type { Delays, Platform, SocketLike } from './client-types.ts';
import type { Link, LinkEvents } from './link.ts';
import { NOT_OVATION } from './reconnect.ts';

const CONNECT_MS_MAX = 8_000;
const SILENCE_MS_MAX = 6_000;
const UNREADABLE_MAX = 8;
const OPEN = 1;

/** @throws when the platform does not take the URL */
export function openSocket(WebSocket: NonNullable<Platform['WebSocket']>, timers: Delays, url: string, events: LinkEvents): Link {
  const socket: SocketLike = new WebSocket(url.replace(/^http/, 'ws'), SUBPROTOCOL_MSGPACK);
  let isWelcomed = false;
  let unreadable = 0;
  let cancelTimer = timers.after(CONNECT_MS_MAX, () => end(1006, 'No welcome in time', true));
  socket.binaryType = 'arraybuffer';
  socket.onmessage = ({ data }: { readonly data: unknown }) => {
    let message: ServerMessage;
    try {
      expect(data instanceof ArrayBuffer, 'not a binary message');
      message = serverMessageOfFields(readMsgpack(new Uint8Array(data)));
      expect(isWelcomed || message.type === 'welcome' || message.type === 'error', 'no welcome');
    } catch (error) {
      if (!(error instanceof MalformedMessage)) throw error;
      unreadable += 1;
      if (!isWelcomed || unreadable > UNREADABLE_MAX) end(NOT_OVATION, error.message);
      else events.unreadable();
      return;
    }
    isWelcomed ||= message.type === 'welcome';
    cancelTimer();
    cancelTimer = timers.after(SILENCE_MS_MAX, () => end(1006, 'The region fell silent', true));
    events.message(message);
  };
  socket.onclose = ({ code, reason }: { readonly code: number; readonly reason: string }) =>
    end(code, reason || `The connection was closed (${code})`);
  // A close follows, and says all there is to say.
  socket.onerror = () => {};

  function end(code: number, reason: string, wasSilent = false): void {
    close();
    events.lost({ code, reason, wasSilent });
  }

  function close(): void {
    cancelTimer();
    socket.onmessage = socket.onclose = null;
    socket.close();
  }

  return {
    hello: (hello) => {
      if (socket.readyState === OPEN) socket.send(writeClientMessage(hello));
    },
    send(batches) {
      if (socket.readyState === OPEN) for (const batch of batches) socket.send(writeClientMessage(batch));
    },
    close,
  };
}
