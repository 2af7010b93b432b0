/**
 * The trace parser: a recorded crowd, `t_ms,viewer,emoji,count`, as CSV or gzipped CSV.
 *
 * Streams: memory does not grow with the file. A malformed line ends it with the line's number,
 * because a run that skips lines has no ground truth.
 */

import { createReadStream } from 'node:fs';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { isId } from '../../../crdt/ids.ts';
import { TAPS_PER_REACTION_MAX } from '../../protocol/messages.ts';
import { CommandFailure, describeError } from '../failure.ts';

export interface TraceEvent {
  /** Milliseconds since the start of the recording. */
  readonly atMs: number;
  readonly viewer: string;
  readonly emoji: string;
  readonly count: number;
}

const TRACE_HEADER = 't_ms,viewer,emoji,count';
const LINE_CHARACTERS_MAX = 512;

export class MalformedTrace extends CommandFailure {
  constructor(name: string, line: number, problem: string) {
    super('usage', `${name}, line ${line}: ${problem}`);
  }
}

/** @throws MalformedTrace, CommandFailure when the file cannot be read */
export async function* readTrace(path: string): AsyncGenerator<TraceEvent> {
  const file = createReadStream(path);
  const source = path.endsWith('.gz') ? pipeline(file, createGunzip(), () => undefined) : file;
  try {
    yield* parseTrace(path, source);
  } catch (error) {
    if (error instanceof CommandFailure) throw error;
    throw new CommandFailure('usage', `cannot read the trace ${path}: ${describeError(error)}`);
  } finally {
    file.destroy();
  }
}

/** @throws MalformedTrace */
export async function* parseTrace(name: string, source: Readable): AsyncGenerator<TraceEvent> {
  let number = 0;
  let lastMs = 0;
  for await (const line of lines(name, source)) {
    number += 1;
    if (number === 1) {
      if (line !== TRACE_HEADER) throw new MalformedTrace(name, 1, `expected the header "${TRACE_HEADER}"`);
      continue;
    }
    if (line === '') continue;
    const event = parseLine(name, number, line);
    if (event.atMs < lastMs) throw new MalformedTrace(name, number, `t_ms goes back from ${lastMs} to ${event.atMs}`);
    lastMs = event.atMs;
    yield event;
  }
  if (number < 2) throw new MalformedTrace(name, number, 'the trace has no events');
}

function parseLine(name: string, number: number, line: string): TraceEvent {
  const fields = line.split(',');
  const [at = '', viewer = '', emoji = '', count = ''] = fields;
  if (fields.length !== 4) throw new MalformedTrace(name, number, `expected 4 fields, found ${fields.length}`);
  if (!/^\d{1,13}$/.test(at)) throw new MalformedTrace(name, number, `t_ms "${at}" is no whole number of milliseconds`);
  if (!isId(viewer)) throw new MalformedTrace(name, number, `viewer "${viewer}" must match [A-Za-z0-9_-]{1,64}`);
  if (!isId(emoji)) throw new MalformedTrace(name, number, `emoji "${emoji}" must match [A-Za-z0-9_-]{1,64}`);
  const taps = /^\d{1,5}$/.test(count) ? Number(count) : 0;
  if (taps < 1 || taps > TAPS_PER_REACTION_MAX) {
    throw new MalformedTrace(name, number, `count "${count}" must be 1 to ${TAPS_PER_REACTION_MAX}`);
  }
  return { atMs: Number(at), viewer, emoji, count: taps };
}

async function* lines(name: string, source: Readable): AsyncGenerator<string> {
  let rest = '';
  let number = 0;
  for await (const chunk of source.setEncoding('utf8') as AsyncIterable<string>) {
    const parts = (rest + chunk).split('\n');
    rest = parts.pop() ?? '';
    for (const line of parts) {
      number += 1;
      yield line.endsWith('\r') ? line.slice(0, -1) : line;
    }
    if (rest.length > LINE_CHARACTERS_MAX) {
      throw new MalformedTrace(name, number + 1, `longer than ${LINE_CHARACTERS_MAX} characters`);
    }
  }
  if (rest !== '') yield rest;
}
