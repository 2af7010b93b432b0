/** What every adapter of the log port promises (rules LOG-1 to LOG-12, LOG-15, LOG-17). */

import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { LogFenced, LogRefused, LogUnavailable, MalformedKey } from '../../regions/log.ts';
import type { LogMessage, LogPosition, LogReader, LogVisitor, LogWriter } from '../../regions/log.ts';

/** One region's log and one link to it, with the faults that every adapter can be made to have. */
export interface LogWorld {
  /** A writer as a new process would have it. */
  writer(bytesMax?: number): LogWriter;
  reader(): LogReader;
  /** Deletes the log under everybody's feet. */
  wipe(): Promise<void>;
  snapshot(): Promise<void>;
  /** Restarts the log as it was at the snapshot. */
  restore(): Promise<void>;
  stop(): Promise<void>;
  start(): Promise<void>;
  cutReader(): void;
  healReader(): void;
  /** Appends so that the log keeps the messages while the writer hears nothing; answers the outcome. */
  appendUnanswered(writer: LogWriter, messages: readonly Message[]): Promise<unknown>;
  close(): Promise<void>;
}

interface Message {
  readonly key: string;
  readonly payload: Uint8Array;
}

export function message(key: string, text: string): Message {
  return { key, payload: new TextEncoder().encode(text) };
}

export function texts(messages: readonly { readonly key: string; readonly payload: Uint8Array }[]): string[] {
  return messages.map(({ key, payload }) => `${key}=${new TextDecoder().decode(payload)}`);
}

const nobody = (): void => {};

/** Follows and remembers; payloads are copied as the port demands. */
export class Following implements LogVisitor {
  readonly starts: LogPosition[] = [];
  readonly messages: LogMessage[] = [];
  position: LogPosition | null = null;
  readonly ended: Promise<unknown>;
  readonly #abort = new AbortController();

  constructor(reader: LogReader, from: LogPosition | null) {
    this.ended = reader.follow(from, this, this.#abort.signal).then(
      () => 'aborted',
      (error: unknown) => error,
    );
  }

  started(position: LogPosition): void {
    this.starts.push(position);
  }

  batch(messages: readonly LogMessage[], position: LogPosition): void {
    for (const { key, payload, sequence } of messages) this.messages.push({ key, payload: payload.slice(), sequence });
    this.position = position;
  }

  stop(): Promise<unknown> {
    this.#abort.abort();
    return this.ended;
  }
}

export function logContract(adapter: string, createWorld: () => Promise<LogWorld>): void {
  describe(`log: ${adapter}`, () => {
    let world: LogWorld;
    let followings: Following[];
    let writers: LogWriter[];

    beforeEach(async () => {
      world = await createWorld();
      followings = [];
      writers = [];
    });

    afterEach(async () => {
      for (const following of followings) await following.stop();
      for (const writer of writers) await writer.close();
      await world.close();
    });

    function follow(from: LogPosition | null = null): Following {
      const following = new Following(world.reader(), from);
      followings.push(following);
      return following;
    }

    function newWriter(bytesMax?: number): LogWriter {
      const writer = world.writer(bytesMax);
      writers.push(writer);
      return writer;
    }

    async function openWriter(bytesMax?: number): Promise<LogWriter> {
      const writer = newWriter(bytesMax);
      await writer.open(nobody);
      return writer;
    }

    async function refusalOf(appending: Promise<void>): Promise<LogRefused> {
      const error: unknown = await appending.catch((refused: unknown) => refused);
      expect(error).toBeInstanceOf(LogRefused);
      return error as LogRefused;
    }

    async function kept(): Promise<LogMessage[]> {
      const reading = follow();
      const writer = newWriter();
      const messages: LogMessage[] = [];
      const { position } = await writer.open(({ key, payload, sequence }) => messages.push({ key, payload: payload.slice(), sequence }));
      await expect.poll(() => reading.position?.sequence ?? 0).toBe(position.sequence);
      await reading.stop();
      expect(reading.messages).toEqual(messages);
      return messages;
    }

    test('[LOG-1] messages arrive in order, with growing sequences, and the position is the last one', async () => {
      const writer = await openWriter();
      const following = follow();
      const sent = Array.from({ length: 2_500 }, (_, index) => message(`row.${index}`, String(index)));
      await writer.append(sent.slice(0, 2_000));
      await writer.append(sent.slice(2_000));
      await expect.poll(() => following.messages.length).toBe(sent.length);
      expect(texts(following.messages)).toEqual(texts(sent));
      for (const [index, { sequence }] of following.messages.entries()) {
        expect(sequence).toBeGreaterThan(following.messages[index - 1]?.sequence ?? 0);
      }
      expect(following.position?.sequence).toBe(following.messages.at(-1)?.sequence);
      expect(following.starts).toEqual([{ incarnation: following.position?.incarnation, sequence: 0 }]);
    });

    test('[LOG-2] of each key only the last message is kept, and storage is bounded by the keys', async () => {
      const writer = await openWriter();
      for (let round = 0; round < 20; round += 1) {
        await writer.append(Array.from({ length: 100 }, (_, index) => message(`row.${index}`, `${index} in ${round}`)));
      }
      expect(texts(await kept())).toEqual(Array.from({ length: 100 }, (_, index) => `row.${index}=${index} in 19`));
    });

    test('[LOG-3] catching up costs what changed, however often it changed', async () => {
      const writer = await openWriter();
      await writer.append(Array.from({ length: 300 }, (_, index) => message(`row.${index}`, 'first')));
      const before = follow();
      await expect.poll(() => before.messages.length).toBe(300);
      await before.stop();
      for (let round = 0; round < 50; round += 1) {
        await writer.append(Array.from({ length: 10 }, (_, index) => message(`row.${index * 7}`, `round ${round}`)));
      }
      const after = follow(before.position);
      await expect.poll(() => after.messages.length).toBe(10);
      expect(texts(after.messages)).toEqual(Array.from({ length: 10 }, (_, index) => `row.${index * 7}=round 49`));
      expect(after.starts).toEqual([before.position]);
      await writer.append([message('row.1', 'live')]);
      await expect.poll(() => after.messages.length).toBe(11);
    });

    test('[LOG-4] a position of another incarnation or beyond the end starts from the first message', async () => {
      const writer = await openWriter();
      await writer.append([message('a', '1'), message('b', '2')]);
      const { incarnation } = (await writer.open(nobody)).position;
      for (const from of [{ incarnation: 'another', sequence: 2 }, { incarnation, sequence: 3 }]) {
        const following = follow(from);
        await expect.poll(() => texts(following.messages)).toEqual(['a=1', 'b=2']);
        expect(following.starts).toEqual([{ incarnation, sequence: 0 }]);
      }
      const atEnd = follow({ incarnation, sequence: 2 });
      await expect.poll(() => atEnd.starts).toEqual([{ incarnation, sequence: 2 }]);
      await writer.append([message('c', '3')]);
      await expect.poll(() => texts(atEnd.messages)).toEqual(['c=3']);
    });

    test('[LOG-5] open visits what is kept, oldest first, and the log goes on after it', async () => {
      const first = await openWriter();
      await first.append([message('a', '1'), message('b', '1'), message('a', '2')]);
      await first.close();
      const visited: Message[] = [];
      const second = newWriter();
      const opened = await second.open(({ key, payload }) => visited.push({ key, payload: payload.slice() }));
      expect(texts(visited)).toEqual(['b=1', 'a=2']);
      expect(opened).toMatchObject({ intact: true, position: { sequence: 3 } });
      await second.append([message('c', '1')]);
      expect(texts(await kept())).toEqual(['b=1', 'a=2', 'c=1']);
    });

    test('[LOG-6] a restart that kept everything is intact', async () => {
      const writer = await openWriter();
      await writer.append([message('a', '1')]);
      await world.stop();
      await expect(writer.append([message('a', '2')])).rejects.toThrow(LogUnavailable);
      await expect(writer.open(nobody)).rejects.toThrow(LogUnavailable);
      await world.start();
      expect(await writer.open(nobody)).toMatchObject({ intact: true });
      await writer.append([message('a', '3')]);
      expect(texts(await kept())).toEqual(['a=3']);
    });

    test('[LOG-6] a deleted log is not intact, and its follower ends and finds another incarnation', async () => {
      const writer = await openWriter();
      await writer.append([message('a', '1'), message('b', '1')]);
      const following = follow();
      await expect.poll(() => following.messages.length).toBe(2);
      await world.wipe();
      expect(await following.ended).toBeInstanceOf(LogUnavailable);
      await expect(writer.append([message('a', '2')])).rejects.toThrow(LogUnavailable);
      const opened = await writer.open(nobody);
      expect(opened).toMatchObject({ intact: false, position: { sequence: 0 } });
      await writer.append([message('a', '2'), message('b', '2'), message('c', '2')]);
      const again = follow(following.position);
      await expect.poll(() => texts(again.messages)).toEqual(['a=2', 'b=2', 'c=2']);
      expect(again.starts).toEqual([{ incarnation: opened.position.incarnation, sequence: 0 }]);
    });

    test('[LOG-6] a log deleted and filled again as far is not intact', async () => {
      const writer = await openWriter();
      await writer.append([message('a', '1')]);
      await world.wipe();
      const other = await openWriter();
      await other.append([message('b', '1'), message('c', '1')]);
      await expect(writer.append([message('a', '2')])).rejects.toThrow(LogUnavailable);
      expect(await writer.open(nobody)).toMatchObject({ intact: false, position: { sequence: 2 } });
    });

    test('[LOG-6] a log rolled back behind an acknowledgement is not intact, and is read from its first message', async () => {
      const writer = await openWriter();
      await writer.append([message('a', '1')]);
      await world.snapshot();
      // Whoever copied the folder stopped the log; the writer may have to connect again.
      await writer.open(nobody);
      await writer.append([message('a', '2'), message('b', '2')]);
      const following = follow();
      await expect.poll(() => following.messages.length).toBe(2);
      await world.restore();
      expect(await following.ended).toBeInstanceOf(LogUnavailable);
      await expect(writer.append([message('b', '3')])).rejects.toThrow(LogUnavailable);
      expect(await writer.open(nobody)).toMatchObject({ intact: false, position: { sequence: 1 } });
      const again = follow(following.position);
      await expect.poll(() => texts(again.messages)).toEqual(['a=1']);
      await writer.append([message('b', '3')]);
      await expect.poll(() => texts(again.messages)).toEqual(['a=1', 'b=3']);
    });

    test('[LOG-7] a writer that another has followed is fenced, at the next append and at open', async () => {
      const older = await openWriter();
      await older.append([message('a', 'older')]);
      const newer = await openWriter();
      await newer.append([message('a', 'newer')]);
      await expect(older.append([message('a', 'zombie')])).rejects.toThrow(LogFenced);
      await expect(older.open(nobody)).rejects.toThrow(LogFenced);
      await newer.append([message('b', 'newer')]);
      expect(texts(await kept())).toEqual(['a=newer', 'b=newer']);
    });

    test('[LOG-7] a writer that meets the last words of its predecessor before its own first opens again', async () => {
      const older = await openWriter();
      const newer = await openWriter();
      await older.append([message('a', 'last words')]);
      await expect(newer.append([message('a', 'newer')])).rejects.toThrow(LogUnavailable);
      await newer.open(nobody);
      await newer.append([message('a', 'newer')]);
      await expect(older.append([message('a', 'zombie')])).rejects.toThrow(LogFenced);
      expect(texts(await kept())).toEqual(['a=newer']);
    });

    test('[LOG-8] messages kept without an acknowledgement are our own: open goes on after them', async () => {
      const writer = await openWriter();
      await writer.append([message('a', '1')]);
      expect(await world.appendUnanswered(writer, [message('a', '2'), message('b', '2')])).toBeInstanceOf(LogUnavailable);
      await expect.poll(async () => (await writer.open(nobody).catch((error: unknown) => error))).toMatchObject({ intact: true });
      // What was on its way may arrive between the two: then once more.
      await expect
        .poll(() => writer.append([message('a', '2'), message('b', '2')]).catch(() => writer.open(nobody)))
        .toBeUndefined();
      expect(texts(await kept())).toEqual(['a=2', 'b=2']);
    });

    test('[LOG-9] without a log, readers and writers are told, and find it when it is back', async () => {
      const writer = await openWriter();
      await writer.append([message('a', '1')]);
      const following = follow();
      await expect.poll(() => following.messages.length).toBe(1);
      await world.stop();
      expect(await following.ended).toBeInstanceOf(LogUnavailable);
      expect(await follow(following.position).ended).toBeInstanceOf(LogUnavailable);
      await world.start();
      await writer.open(nobody);
      await writer.append([message('b', '2')]);
      const again = follow(following.position);
      await expect.poll(() => texts(again.messages)).toEqual(['b=2']);
    });

    test('[LOG-10] an abort ends a follower at once: idle, behind a cut, and while it connects', async () => {
      const writer = await openWriter();
      await writer.append([message('a', '1')]);
      const idle = follow();
      await expect.poll(() => idle.messages.length).toBe(1);
      const before = performance.now();
      expect(await idle.stop()).toBe('aborted');
      const behindCut = follow();
      await expect.poll(() => behindCut.messages.length).toBe(1);
      world.cutReader();
      expect(await behindCut.stop()).toBe('aborted');
      expect(await follow().stop()).toBe('aborted');
      expect(performance.now() - before).toBeLessThan(1_000);
      world.healReader();
    });

    test('[LOG-11] a silent link ends a follower, and after the heal the next catches up', async () => {
      const writer = await openWriter();
      await writer.append([message('a', '1')]);
      const following = follow();
      await expect.poll(() => following.messages.length).toBe(1);
      world.cutReader();
      await writer.append([message('b', '2')]);
      const before = performance.now();
      expect(await following.ended).toBeInstanceOf(LogUnavailable);
      expect(performance.now() - before).toBeLessThan(8_000);
      expect(await follow().ended).toBeInstanceOf(LogUnavailable);
      world.healReader();
      const again = follow(following.position);
      await expect.poll(() => texts(again.messages)).toEqual(['b=2']);
    });

    test('[LOG-15] a malformed key is refused and nothing is appended', async () => {
      const writer = await openWriter();
      for (const key of ['', '.', 'a.', '.a', 'a..b', 'a.*', 'a.>', 'a b', 'ä', 'a\r\nPUB', 'a'.repeat(257)]) {
        await expect(writer.append([message('fine', '1'), message(key, '1')])).rejects.toThrow(MalformedKey);
      }
      await writer.append([message('fine', '2')]);
      expect(texts(await kept())).toEqual(['fine=2']);
    });

    test('[LOG-17] what is removed is gone for readers and writers, and whoever has read on goes on from there', async () => {
      const writer = await openWriter();
      await writer.append([message('a', '1'), message('b', '1'), message('c', '1'), message('d', '1')]);
      const live = follow();
      await expect.poll(() => live.messages.length).toBe(4);
      const early = follow({ ...live.position!, sequence: 1 });
      await expect.poll(() => early.messages.length).toBe(3);
      await early.stop();
      // The last message among them: the end must not go back.
      await writer.remove(['b', 'd', 'never']);
      expect(texts(await kept())).toEqual(['a=1', 'c=1']);
      await writer.append([message('b', '2')]);
      await expect.poll(() => texts(live.messages).slice(4)).toEqual(['b=2']);
      expect(live.messages.at(-1)!.sequence).toBeGreaterThan(live.messages.at(-2)!.sequence);
      const later = follow(early.position);
      await expect.poll(() => texts(later.messages)).toEqual(['b=2']);
      expect(later.starts).toEqual([early.position]);
      expect(texts(await kept())).toEqual(['a=1', 'c=1', 'b=2']);
    });

    test('[LOG-17] a log of which everything was removed is intact after a restart, and gives no sequence twice', async () => {
      const writer = await openWriter();
      await writer.append(Array.from({ length: 300 }, (_, index) => message(`row.${index}`, '1')));
      const before = follow();
      await expect.poll(() => before.messages.length).toBe(300);
      await before.stop();
      await writer.remove(Array.from({ length: 300 }, (_, index) => `row.${index}`));
      await world.stop();
      await expect(writer.remove(['row.1'])).rejects.toThrow(LogUnavailable);
      await world.start();
      expect(await writer.open(nobody)).toMatchObject({ intact: true });
      // A server that was killed may have some back; they can be removed again.
      const back = (await kept()).map(({ key }) => key);
      await writer.remove(back);
      expect(await kept()).toEqual([]);
      const after = follow(before.position);
      await writer.append([message('new', '1')]);
      await expect.poll(() => texts(after.messages)).toEqual(['new=1']);
      expect(after.starts).toEqual([before.position]);
      expect(after.messages[0]!.sequence).toBeGreaterThan(before.position!.sequence);
    });

    test('[LOG-17] a reader that is behind misses nothing of what stays', async () => {
      const writer = await openWriter();
      const keys = Array.from({ length: 5_000 }, (_, index) => `row.${index}`);
      await writer.append(keys.map((key) => message(key, '1')));
      const following = follow();
      await expect.poll(() => following.starts.length, { interval: 1 }).toBe(1);
      const removed = new Set(keys.filter((_, index) => index % 50 === 49));
      for (const key of removed) await writer.remove([key]);
      await writer.append([message('end', '1')]);
      await expect.poll(() => following.messages.at(-1)?.key).toBe('end');
      const read = new Set(following.messages.map(({ key }) => key));
      expect(keys.filter((key) => !removed.has(key) && !read.has(key))).toEqual([]);
    });

    test('[LOG-17] a writer that another has followed removes nothing', async () => {
      const older = await openWriter();
      await older.append([message('a', 'older')]);
      const newer = await openWriter();
      await newer.append([message('b', 'newer')]);
      await expect(older.remove(['a', 'b'])).rejects.toThrow(LogFenced);
      await expect(older.open(nobody)).rejects.toThrow(LogFenced);
      expect(texts(await kept())).toEqual(['a=older', 'b=newer']);
    });

    test('[LOG-17] a removal alone is enough to be followed by: the writer before it is fenced', async () => {
      const older = await openWriter();
      await older.append([message('a', 'older')]);
      const newer = await openWriter();
      await newer.remove(['a']);
      await expect(older.append([message('a', 'zombie')])).rejects.toThrow(LogFenced);
      await newer.append([message('a', 'newer')]);
      expect(texts(await kept())).toEqual(['a=newer']);
    });

    test('[LOG-15, LOG-17] a malformed key is refused and nothing is removed', async () => {
      const writer = await openWriter();
      await writer.append([message('a.b', '1'), message('a.c', '1')]);
      for (const key of ['', 'a.*', 'a.>', '>', '*.b']) await expect(writer.remove(['a.b', key])).rejects.toThrow(MalformedKey);
      await writer.remove([]);
      await writer.remove(['a']);
      expect(texts(await kept())).toEqual(['a.b=1', 'a.c=1']);
    });

    test('[LOG-17] a full log takes new keys again once others were removed', async () => {
      const writer = await openWriter(64 * 1024);
      const large = (key: string): Message => message(key, '1'.repeat(10_000));
      await writer.append(['a', 'b', 'c', 'd', 'e'].map(large));
      // To the last byte, so that there is no room to say that something was removed.
      const fill = Array.from({ length: 1_000 }, (_, index) => ({ ...message(`x${index}`, '1'), usesReserve: true }));
      const { keys } = await refusalOf(writer.append(fill));
      const refusedAt = fill.findIndex(({ key }) => key === keys[0]);
      expect(keys).toHaveLength(1);
      expect(refusedAt).toBeGreaterThan(0);
      expect((await kept()).slice(5).map(({ key }) => key)).toEqual(fill.slice(0, refusedAt).map(({ key }) => key));
      expect((await refusalOf(writer.append([large('g')]))).keys).toEqual(['g']);
      await writer.remove(['b', 'a']);
      await writer.append([large('g')]);
      expect((await kept()).map(({ key }) => key).filter((key) => !key.startsWith('x'))).toEqual(['c', 'd', 'e', 'g']);
      await writer.remove(['c']);
      await writer.append([large('h')]);
    });

    test('[LOG-12] a full log refuses new keys and says which, is still open, keeps what it has, and takes new versions', async () => {
      const writer = await openWriter(64 * 1024);
      const large = (key: string, fill: string): Message => message(key, fill.repeat(10_000));
      await writer.append(['a', 'b', 'c', 'd', 'e'].map((key) => large(key, '1')));
      expect((await refusalOf(writer.append([message('small', '1'), large('f', '1'), large('a', '2'), large('g', '1')]))).keys).toEqual(['f', 'g']);
      await writer.append([large('a', '2')]);
      const visited = new Map<string, string>();
      await writer.open(({ key, payload }) => visited.set(key, new TextDecoder().decode(payload.slice(0, 1))));
      expect([visited.get('a'), visited.get('b'), visited.has('g')]).toEqual(['2', '1', false]);
    });

    test('[LOG-12] keys that came one by one until there was no room left have as many next versions as they like', async () => {
      const writer = await openWriter(64 * 1024);
      const keys: string[] = [];
      for (let refused: readonly string[] = []; refused.length === 0; ) {
        const some = Array.from({ length: 20 }, (_, index) => `row.${keys.length + index}`);
        refused = await writer.append(some.map((key) => message(key, 'x'.repeat(40)))).then(() => [], (error: LogRefused) => error.keys);
        keys.push(...some.filter((key) => !refused.includes(key)));
        if (refused.length > 0) await writer.append(keys.slice(-20).map((key) => message(key, 'x'.repeat(40))));
      }
      for (let round = 0; round < 30; round += 1) await writer.append(keys.map((key) => message(key, 'y'.repeat(40 + round / 3))));
      await writer.append([{ ...message('heartbeat', '1'), usesReserve: true }]);
      expect(await kept()).toHaveLength(keys.length + 1);
    });
  });
}
