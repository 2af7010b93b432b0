/**
 * The fan-out: one frame to every socket that watches its stream.
 *
 * A frame is encoded once per encoding in use, WebSocket header included, and the same bytes are
 * written to every socket, some of them in each turn of the event loop [EDGE-64]: who has not got a frame when the next one comes
 * gets that instead. A socket whose buffer is full is passed over and, once it has drained,
 * gets the newest frame: at most one buffer of bytes (16 KiB) plus one frame waits for anybody.
 * A socket that takes in nothing for too long is cut, and so is one that lets too many answers wait.
 */

import type { StreamId } from '../../crdt/ids.ts';
import type { Runtime } from '../../regions/runtime.ts';
import type { Level } from '../broadcaster/frame-feed.ts';
import { encodeServerJson } from '../protocol/json-codec.ts';
import type { FrameMessage, ServerMessage } from '../protocol/messages.ts';
import { encodeServerMsgpack } from '../protocol/msgpack-codec.ts';
import { Turns, type Crowd } from './fanout-turns.ts';
import { BATCH_MS } from './frame-message.ts';

export type Encoding = 'json' | 'msgpack';

/** What is needed of a `net.Socket`. */
export interface FanoutSocket {
  write(bytes: Uint8Array): boolean;
  once(event: 'drain', listener: () => void): unknown;
  destroy(): unknown;
  readonly writableNeedDrain: boolean;
  readonly writableLength: number;
  readonly bytesWritten: number;
}

export interface Member {
  readonly stream: StreamId;
  readonly encoding: Encoding;
  readonly socket: FanoutSocket;
  /** False once a close frame was sent: nothing may follow it. */
  readonly isOpen: () => boolean;
  level: Level;
  /** The version of the stream's palette that the client was told last. */
  paletteVersion: number;
  /** The version of the stream's frame that was written last. */
  version: number;
  isBehind: boolean;
  isMember: boolean;
  /** Bytes that had left this process at the last sweep, and sweeps since without any more. */
  bytesTaken: number;
  idleSweeps: number;
}

/** Emoji id → glyph, in the order to show. */
type Palette = ReadonlyMap<string, string>;

interface Room extends Crowd {
  readonly members: Set<Member>;
  /** Goes on where it stopped, also with the next frame, so that nobody is the last each time. */
  cursor: IterableIterator<Member>;
  frame: FrameMessage | null;
  version: number;
  /** Null when nobody said. */
  palette: Palette | null;
  paletteVersion: number;
  /** The newest frame as bytes, by encoding; made when first needed. */
  readonly bytes: { [encoding in Encoding]: Buffer | null };
  /** The same after a word on its level, for those who do not know of it yet. */
  readonly pacedBytes: { [encoding in Encoding]: Buffer | null };
}

export class Fanout {
  /** Gauges are `members`, `behind`, `roomsWaiting` and `visitsWaiting`: streams that wait for turns, and visits that are left in them. */
  readonly stats = {
    members: 0,
    framesPublished: 0,
    framesWritten: 0,
    framesSkipped: 0,
    frameBytes: 0,
    behind: 0,
    stuckSockets: 0,
    roomsWaiting: 0,
    visitsWaiting: 0,
  };
  readonly #turns: Turns<Room>;
  readonly #rooms = new Map<StreamId, Room>();
  readonly #onViewers: (stream: StreamId, viewers: number) => void;
  readonly #idleSweepsMax: number;
  readonly #waitingBytesMax: number;

  /** Frames reach `join`ed sockets from then on; `idleSweepsMax` sweeps without progress cut one, and more than `waitingBytesMax` do. */
  constructor(runtime: Pick<Runtime, 'clock' | 'timers'>, onViewers: (stream: StreamId, viewers: number) => void = () => {}, idleSweepsMax = 30, waitingBytesMax = Infinity) {
    this.#turns = new Turns(runtime, (room) => this.#visitNext(room));
    this.#onViewers = onViewers;
    this.#idleSweepsMax = idleSweepsMax;
    this.#waitingBytesMax = waitingBytesMax;
  }

  /** `level` and `palette` are those that the client already knows of. */
  join(
    stream: StreamId,
    socket: FanoutSocket,
    encoding: Encoding,
    isOpen: () => boolean = () => true,
    level: Level = 'exact',
    palette: Palette | null = null,
  ): Member {
    let room = this.#rooms.get(stream);
    if (room === undefined) {
      room = emptyRoom();
      this.#rooms.set(stream, room);
    }
    adoptPalette(room, palette);
    const member: Member = {
      stream,
      encoding,
      socket,
      isOpen,
      level,
      paletteVersion: room.paletteVersion,
      version: room.version,
      isBehind: false,
      isMember: true,
      bytesTaken: 0,
      idleSweeps: 0,
    };
    room.members.add(member);
    // Stands in the way of those who wait, and needs nothing itself: its welcome told the newest.
    if (room.left > 0) this.#setLeft(room, room.left + 1);
    this.stats.members += 1;
    this.#onViewers(stream, room.members.size);
    return member;
  }

  leave(member: Member): void {
    const room = this.#rooms.get(member.stream);
    if (room === undefined || !room.members.delete(member)) return;
    member.isMember = false;
    if (member.isBehind) this.stats.behind -= 1;
    this.stats.members -= 1;
    if (room.members.size === 0) {
      this.#rooms.delete(member.stream);
      this.#setLeft(room, 0);
      this.#turns.remove(room);
    }
    this.#onViewers(member.stream, room.members.size);
  }

  /** The newest frame of a stream that somebody here watches. */
  newest(stream: StreamId): FrameMessage | null {
    return this.#rooms.get(stream)?.frame ?? null;
  }

  /** It is written in the next turns. */
  publish(stream: StreamId, frame: FrameMessage, palette: Palette | null = null): void {
    const room = this.#rooms.get(stream);
    if (room === undefined) return;
    adoptPalette(room, palette);
    room.frame = frame;
    room.version += 1;
    room.bytes.json = null;
    room.bytes.msgpack = null;
    room.pacedBytes.json = null;
    room.pacedBytes.msgpack = null;
    this.stats.framesPublished += 1;
    this.stats.framesSkipped += room.left;
    this.#setLeft(room, room.members.size);
    this.#turns.add(room);
  }

  /** Writes the newest frame at once, where it was not written yet: for who is about to be closed. */
  catchUp(member: Member): void {
    const room = this.#rooms.get(member.stream);
    if (room !== undefined && member.isMember && !member.isBehind && member.version !== room.version) this.#write(room, member);
  }

  /** Call it every second or so. */
  sweep(): void {
    for (const { members } of this.#rooms.values()) {
      for (const member of members) {
        const { socket } = member;
        const bytesTaken = socket.bytesWritten - socket.writableLength;
        const isIdle = socket.writableNeedDrain && bytesTaken === member.bytesTaken;
        member.bytesTaken = bytesTaken;
        member.idleSweeps = isIdle ? member.idleSweeps + 1 : 0;
        if (member.idleSweeps < this.#idleSweepsMax && socket.writableLength <= this.#waitingBytesMax) continue;
        this.stats.stuckSockets += 1;
        this.leave(member);
        socket.destroy();
      }
    }
  }

  #setLeft(room: Room, left: number): void {
    this.stats.visitsWaiting += left - room.left;
    if (room.left === 0 && left > 0) this.stats.roomsWaiting += 1;
    if (room.left > 0 && left === 0) this.stats.roomsWaiting -= 1;
    room.left = left;
  }

  /** What is left was lowered already. */
  #visitNext(room: Room): void {
    this.stats.visitsWaiting -= 1;
    if (room.left === 0) this.stats.roomsWaiting -= 1;
    let next = room.cursor.next();
    if (next.done === true) {
      room.cursor = room.members.values();
      next = room.cursor.next();
    }
    const member: Member = next.value;
    if (member.version === room.version) return;
    if (member.isBehind) this.stats.framesSkipped += 1;
    else this.#write(room, member);
  }

  #write(room: Room, member: Member): void {
    if (!member.isOpen()) return;
    if (member.socket.writableNeedDrain) {
      this.stats.framesSkipped += 1;
      this.#waitForDrain(room, member);
      return;
    }
    const bytes = this.#bytesFor(room, member);
    member.version = room.version;
    this.stats.framesWritten += 1;
    this.stats.frameBytes += bytes.length;
    member.socket.write(bytes);
  }

  #waitForDrain(room: Room, member: Member): void {
    member.isBehind = true;
    this.stats.behind += 1;
    member.socket.once('drain', () => {
      member.isBehind = false;
      if (member.isMember) this.stats.behind -= 1;
      if (member.isMember && member.version !== room.version) this.#write(room, member);
    });
  }

  #bytesFor(room: Room, member: Member): Buffer {
    const frame = room.frame!;
    const bytes = (room.bytes[member.encoding] ??= webSocketMessage(frame, member.encoding));
    const isPaletteNew = member.paletteVersion !== room.paletteVersion;
    if (member.level === frame.level && !isPaletteNew) return bytes;
    member.level = frame.level;
    member.paletteVersion = room.paletteVersion;
    const palette = isPaletteNew ? { palette: Object.fromEntries(room.palette!) } : {};
    const pace = { type: 'pace', batch_ms: BATCH_MS[frame.level], level: frame.level, ...palette } as const;
    const paced = (): Buffer => Buffer.concat([webSocketMessage(pace, member.encoding), bytes]);
    // A level changes for a whole region, when it can bear little: what all are told is made once.
    return isPaletteNew ? paced() : (room.pacedBytes[member.encoding] ??= paced());
  }
}

function emptyRoom(): Room {
  const members = new Set<Member>();
  return {
    members,
    cursor: members.values(),
    left: 0,
    frame: null,
    version: 0,
    palette: null,
    paletteVersion: 0,
    bytes: { json: null, msgpack: null },
    pacedBytes: { json: null, msgpack: null },
  };
}

function adoptPalette(room: Room, palette: Palette | null): void {
  if (palette === null || palette === room.palette) return;
  if (room.palette !== null && !isSamePalette(room.palette, palette)) room.paletteVersion += 1;
  room.palette = palette;
}

/** Also in its order. */
function isSamePalette(a: Palette, b: Palette): boolean {
  return a.size === b.size && JSON.stringify([...a]) === JSON.stringify([...b]);
}

/** A whole WebSocket message, header included, as a server sends it (RFC 6455 §5.2: final, unmasked). */
export function webSocketMessage(message: ServerMessage, encoding: Encoding): Buffer {
  const payload = encoding === 'json' ? Buffer.from(encodeServerJson(message)) : encodeServerMsgpack(message);
  const { length } = payload;
  const extended = length < 126 ? 0 : length < 65_536 ? 2 : 8;
  const bytes = Buffer.allocUnsafe(2 + extended + length);
  bytes[0] = encoding === 'json' ? 0x81 : 0x82;
  bytes[1] = extended === 0 ? length : extended === 2 ? 126 : 127;
  if (extended === 2) bytes.writeUInt16BE(length, 2);
  if (extended === 8) bytes.writeBigUInt64BE(BigInt(length), 2);
  bytes.set(payload, 2 + extended);
  return bytes;
}
