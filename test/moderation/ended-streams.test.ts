/** The list of ended streams: a union of ids, told in pages. */

import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { StreamId } from '../../crdt/ids.ts';
import { EndedStreams, MalformedPage } from '../../src/moderation/ended-streams.ts';

const ids = fc.array(fc.stringMatching(/^[A-Za-z0-9_-]{1,64}$/).map((id) => (id === '__proto__' ? 'p' : id) as StreamId), { maxLength: 30 });

function listOf(streams: Iterable<StreamId>, published: string[] = []): EndedStreams {
  const list = new EndedStreams((key) => void published.push(key));
  for (const stream of streams) list.add(stream);
  return list;
}

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

function pagesOf(list: EndedStreams): [key: string, text: string][] {
  return Array.from(list.keys(), (key) => [key, new TextDecoder().decode(list.read(key)!)]);
}

function linesOf(list: EndedStreams): string[] {
  return pagesOf(list).flatMap(([, text]) => text.trimEnd().split('\n'));
}

describe('the list of ended streams', () => {
  it('[MOD-34] is the union of whatever pages are heard, in any order and number, and tells once of what is new', () => {
    fc.assert(
      fc.property(fc.array(ids, { maxLength: 4 }), fc.infiniteStream(fc.nat()), (lists, random) => {
        const pages = lists.flatMap((list) => pagesOf(listOf(list))).map(([, page]) => page);
        const heard = new EndedStreams(() => {});
        const added = [...pages, ...pages, ...pages].map((_, index) => (index < pages.length ? index : (random.next().value as number) % pages.length)).flatMap((index) => heard.join(bytes(pages[index]!)));
        const all = new Set(lists.flat());
        expect([...added].sort()).toEqual([...all].sort());
        expect(linesOf(heard).sort()).toEqual([...all].sort());
        for (const stream of all) expect(heard.has(stream)).toBe(true);
        expect(heard.has('another-one' as StreamId)).toBe(all.has('another-one' as StreamId));
      }),
      { numRuns: 200 },
    );
  });

  it('[MOD-34] one more id changes the last page alone, and who reads its own pages back has nothing to write', () => {
    const streams = Array.from({ length: 5_000 }, (_, index) => `stream-number-${index}` as StreamId);
    const published: string[] = [];
    const list = listOf(streams, published);
    const pages = pagesOf(list);
    expect(pages.length).toBeGreaterThan(5);
    expect(Math.max(...pages.map(([, page]) => page.length))).toBeLessThanOrEqual(16 * 1024 + 65);
    expect([...new Set(published)]).toEqual(pages.map(([key]) => key));
    published.length = 0;
    expect([list.add('one-more' as StreamId), list.add('one-more' as StreamId)]).toEqual([true, true]);
    expect(published).toEqual([pages.at(-1)![0]]);
    expect(pagesOf(list).slice(0, -1)).toEqual(pages.slice(0, -1));
    const restarted = new EndedStreams(() => {});
    for (const [, page] of pagesOf(list)) restarted.join(bytes(page));
    expect(pagesOf(restarted)).toEqual(pagesOf(list));
    expect(linesOf(list)).toEqual([...streams, 'one-more']);
    for (const key of ['ended.99', 'ended.x', 'ended.00', 'ended.1e1', 'ended.', 'policy.0']) expect(list.read(key)).toBe(null);
    // Of two pages one is in the log.
    published.length = 0;
    expect(list.logged([streams[0]!, streams.at(-1)!, 'other' as StreamId], (key) => key === 'ended.0')).toEqual([streams[0]]);
    expect(published).toEqual([pages.at(-1)![0]]);
  });

  it('[MOD-34] bytes that are no page are refused, and nothing of them is taken', () => {
    const list = listOf(['derby' as StreamId]);
    for (const junk of ['final', '\n', 'final\n\n', 'final\na b\n', `${'x'.repeat(65)}\n`, '__proto__\n', 'final\né\n', 'a\r\n']) expect(() => list.join(bytes(junk))).toThrow(MalformedPage);
    expect(() => list.join(Uint8Array.of(0xff, 10))).toThrow(MalformedPage);
    expect(linesOf(list)).toEqual(['derby']);
    expect(list.stats).toEqual({ listed: 1, notListed: 0, pagesRefused: 9 });
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 20 }), (junk) => {
        try {
          for (const stream of new EndedStreams(() => {}).join(junk)) expect(stream).toMatch(/^[A-Za-z0-9_-]+$/);
        } catch (error) {
          expect(error).toBeInstanceOf(MalformedPage);
        }
      }),
    );
  });

  it('[MOD-34] is bounded: what does not fit is counted, and what others list is taken beyond what a region may add', () => {
    const list = new EndedStreams(() => {}, { endedMax: 2, joinedMax: 3 });
    expect(['a', 'b', 'c'].map((stream) => list.add(stream as StreamId))).toEqual([true, true, false]);
    expect(list.stats).toEqual({ listed: 2, notListed: 1, pagesRefused: 0 });
    expect(list.join(bytes('b\nd\ne\n'))).toEqual(['d']);
    expect(list.stats).toEqual({ listed: 3, notListed: 2, pagesRefused: 0 });
    expect(linesOf(list)).toEqual(['a', 'b', 'd']);
  });
});
