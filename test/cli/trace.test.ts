import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Readable } from 'node:stream';
import { gzipSync } from 'node:zlib';
import { afterAll, expect, test } from 'vitest';
import { parseTrace, readTrace, type TraceEvent } from '../../src/cli/load/trace.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'ovation-trace-'));
afterAll(() => rmSync(folder, { recursive: true }));

const HEADER = 't_ms,viewer,emoji,count\n';

async function collect(events: AsyncIterable<TraceEvent>): Promise<TraceEvent[]> {
  const collected: TraceEvent[] = [];
  for await (const event of events) collected.push(event);
  return collected;
}

async function parse(...chunks: readonly string[]): Promise<TraceEvent[]> {
  return collect(parseTrace('crowd.csv', Readable.from(chunks.map((chunk) => Buffer.from(chunk)))));
}

test('a trace is read the same however it is cut into chunks, with either line ending', async () => {
  const text = `${HEADER}0,ann,heart,1\r\n250,bob,fire,3\n\n250,ann,heart,10000`;
  const events = await parse(text);
  expect(events).toEqual([
    { atMs: 0, viewer: 'ann', emoji: 'heart', count: 1 },
    { atMs: 250, viewer: 'bob', emoji: 'fire', count: 3 },
    { atMs: 250, viewer: 'ann', emoji: 'heart', count: 10_000 },
  ]);
  for (const size of [1, 7, 20]) {
    const chunks = Array.from({ length: Math.ceil(text.length / size) }, (_, index) => text.slice(index * size, (index + 1) * size));
    expect(await parse(...chunks)).toEqual(events);
  }
});

test.each([
  ['', 'no events'],
  [HEADER, 'no events'],
  ['time,who\n1,2\n', 'line 1: expected the header'],
  [`${HEADER}0,ann,heart,1\n1,ann,heart\n`, 'line 3: expected 4 fields, found 3'],
  [`${HEADER}0,ann,heart,1,x\n`, 'line 2: expected 4 fields, found 5'],
  [`${HEADER}soon,ann,heart,1\n`, 'line 2: t_ms "soon"'],
  [`${HEADER}-1,ann,heart,1\n`, 'line 2: t_ms "-1"'],
  [`${HEADER}5,ann,heart,1\n4,ann,heart,1\n`, 'line 3: t_ms goes back from 5 to 4'],
  [`${HEADER}0,a b,heart,1\n`, 'line 2: viewer "a b"'],
  [`${HEADER}0,ann,__proto__,1\n`, 'line 2: emoji "__proto__"'],
  [`${HEADER}0,ann,heart,0\n`, 'line 2: count "0"'],
  [`${HEADER}0,ann,heart,1e3\n`, 'line 2: count "1e3"'],
  [`${HEADER}0,ann,heart,10001\n`, 'line 2: count "10001"'],
  [`${HEADER}0,ann,heart,1\n${'x'.repeat(10_000)}`, 'line 3: longer than'],
])('[CLI-1] a malformed line ends the trace with its number: $1', async (text, message) => {
  await expect(parse(text)).rejects.toThrow(message);
});

test('a gzipped file is read as it is; a broken or missing one is a clear error', async () => {
  const file = path.join(folder, 'crowd.csv.gz');
  const bytes = gzipSync(`${HEADER}0,ann,heart,1\n`);
  writeFileSync(file, bytes);
  expect(await collect(readTrace(file))).toHaveLength(1);
  writeFileSync(file, bytes.subarray(0, bytes.length - 12));
  await expect(collect(readTrace(file))).rejects.toThrow(`cannot read the trace ${file}`);
  await expect(collect(readTrace(path.join(folder, 'none.csv')))).rejects.toThrow('no such file');
});
