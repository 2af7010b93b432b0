/** Each name and number that is none, on every surface that takes one: refused by each, or heeded by none. */

import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { CONTROL_SUBPROTOCOL } from '../../src/protocol/control.ts';
import { keyedUpdate } from '../hostile/control-messages.ts';
import { hostileMsgpack } from '../hostile/mutations.ts';
import { upgradeHead } from '../hostile/websocket-bytes.ts';
import { ENCODINGS, answerToBytes, answerToPost, answerToSocket, answerToUpdate, answerToViewer, messageFrame, reaction, startSurfaces, type Encoding, type Surfaces } from './surfaces.ts';
import { NAMES, NUMBERS } from './bad-names.ts';

const NO_FRAMES = Buffer.alloc(0);
let surfaces: Surfaces;
let port: number;

beforeAll(async () => {
  surfaces = await startSurfaces();
  ({ port } = surfaces);
});
afterAll(() => surfaces.stop());
beforeEach(() => void (surfaces.region.batches.length = 0));

/** Said on a viewers' socket; in JSON all of it is text. */
function batch(encoding: Encoding, parts: { readonly [part in 'emoji' | 'count' | 'seq' | 'timestamp' | 'via']?: unknown }): Buffer {
  const { emoji = encoding === 'json' ? '"heart"' : 'heart', count = 1, seq = 1, timestamp = 1, via } = parts;
  if (encoding === 'msgpack') return messageFrame(encoding, hostileMsgpack([1, seq, timestamp, emoji, count, ...(via === undefined ? [] : [via])]));
  const [reactions, tail] = [`[{"emoji_id":${String(emoji)},"count":${String(count)}}]`, via === undefined ? '' : `,"via":${String(via)}`];
  return messageFrame(encoding, `{"type":"batch","seq":${String(seq)},"reactions":${reactions},"timestamp":${String(timestamp)}${tail}}`);
}

type Hello = 'session_id' | 'viewer_id' | 'token' | 'unacked_from' | 'device_id';
function hello(encoding: Encoding, field: Hello, value: unknown): string | Uint8Array {
  const [ids, fields] = [{ session_id: 's1', viewer_id: 'ann' }, ['session_id', 'viewer_id', 'token', 'unacked_from', 'device_id']];
  if (encoding === 'msgpack') return hostileMsgpack([0, ...fields.map((name) => (name === field ? value : (ids[name as keyof typeof ids] ?? null))).slice(0, field === 'device_id' ? 5 : 4)]);
  return `{"type":"hello",${fields.filter((name) => name === field || name in ids).map((name) => `"${name}":${name === field ? String(value) : JSON.stringify(ids[name as keyof typeof ids])}`).join(',')}}`;
}

/** As a surface's encoding says a text. */
const inEncoding = (encoding: Encoding, text: string): unknown => (encoding === 'json' ? JSON.stringify(text) : text);
/** As URLs say it; no URL says half of a character. */
const inUrl = (name: string): string => (/\p{Surrogate}/u.test(name) ? '%ed%a0%80' : encodeURIComponent(name));

describe.each(Object.entries(NAMES))('%s', (_what, [name, isViewer]) => {
  it.each(ENCODINGS)('[EDGE-81] is no name in a post of %s', async (encoding) => {
    const value = inEncoding(encoding, name);
    // Beyond 128 bytes a text of msgpack is not even read.
    const refused = encoding === 'msgpack' && Buffer.byteLength(name) > 128 ? '400' : '422';
    for (const field of ['stream_id', 'emoji_id', 'session_id'] as const) expect(await answerToPost(port, encoding, reaction(encoding, field, value)), field).toBe(refused);
    expect(await answerToPost(port, encoding, reaction(encoding, 'via', encoding === 'json' ? `[${String(value)}]` : [value])), 'via').toBe(refused);
    expect(surfaces.bad()).toEqual([]);
    for (const field of ['viewer_id', 'device_id'] as const) {
      expect(await answerToPost(port, encoding, reaction(encoding, field, value)), field).toBe(isViewer ? '202' : refused);
      expect(surfaces.bad()).toMatchObject(isViewer ? [{ [field === 'viewer_id' ? 'viewer' : 'device']: name }] : []);
      surfaces.region.batches.length = 0;
    }
  });

  it.each(ENCODINGS)('[EDGE-81] is no name on a viewers’ socket of %s', async (encoding) => {
    const value = inEncoding(encoding, name);
    expect(await answerToViewer(port, encoding, batch(encoding, { emoji: value })), 'emoji').toBe('4400');
    expect(await answerToViewer(port, encoding, batch(encoding, { via: encoding === 'json' ? `[${String(value)}]` : [value] })), 'via').toBe('4400');
    expect(await answerToViewer(port, encoding, NO_FRAMES, hello(encoding, 'session_id', value)), 'session_id').toBe('4400');
    for (const field of ['viewer_id', 'device_id'] as const) {
      expect(await answerToViewer(port, encoding, NO_FRAMES, hello(encoding, field, value)), field).toBe(isViewer ? 'goes on' : '4400');
    }
    expect(surfaces.bad()).toEqual([]);
  });

  it('[EDGE-81] is no stream and no document, to read of or to connect to', async () => {
    const inPath = inUrl(name);
    const [streams, documents] = [`/streams/${inPath}`, `/control/stream.${inPath}`];
    const paths = [`${streams}/reactions`, `${streams}/reactions/history`, `${streams}/audit`, `${streams}/flagged`, `${documents}/policy`, `${documents}/changes`];
    paths.push(`/streams/derby/reactions/history?emoji_id=${inPath}`);
    for (const path of paths) expect(await answerToBytes(port, `GET ${path} HTTP/1.1\r\nhost: x\r\n\r\n`), path).toBe('400');
    // As it is, too, where a path may hold it.
    for (const part of /^[\x21-\x7e]+$/.test(name) && !name.includes('/') ? [inPath, name] : [inPath]) {
      const viewer = upgradeHead(`/streams/${part}/reactions`, ['ovation.v1.json']);
      expect(await answerToSocket(port, viewer), part).toBe('4400');
      const moderator = upgradeHead(`/control/stream.${part}`, [CONTROL_SUBPROTOCOL]);
      expect(await answerToSocket(port, moderator), part).toBe('4400');
    }
  });

  it('[EDGE-81] is heeded nowhere in a document', async () => {
    const stream = surfaces.freshStream();
    const { palette, state } = surfaces.plane.policyOf(stream);
    expect(await answerToUpdate(port, stream, keyedUpdate(name, 'star', { glyph: '*' }))).toBe('4400');
    expect(await answerToUpdate(port, stream, keyedUpdate('palette', name, { glyph: '*' }))).toBe('goes on');
    expect(await answerToUpdate(port, stream, keyedUpdate('stream', name, { value: 'ended', at: 1, by: '' }))).toBe('goes on');
    expect(await answerToUpdate(port, stream, keyedUpdate('mutes', `d1:viewer:${name}`, { at: 1, by: name, reason: name }))).toBe('goes on');
    expect(surfaces.plane.policyOf(stream)).toMatchObject({ palette, state });
    expect(surfaces.plane.policyOf(stream).mutedViewers.has(name)).toBe(isViewer);
  });
});

describe.each(Object.entries(NUMBERS))('%s', (_what, { json, msgpack, isTime = false, isNone = false }) => {
  const valueIn = (encoding: Encoding): unknown => (encoding === 'json' ? json : msgpack);
  const encodings = ENCODINGS.filter((encoding) => encoding === 'msgpack' || json !== null);

  it.each(encodings)('[EDGE-81] is neither a count nor a sequence nor a time in a post of %s', async (encoding) => {
    for (const field of ['count_since_last', 'seq', ...(isTime ? [] : (['timestamp'] as const))] as const) {
      expect(await answerToPost(port, encoding, reaction(encoding, field, valueIn(encoding))), field).toBe('422');
    }
    expect(surfaces.bad()).toEqual([]);
  });

  it.each(encodings)('[EDGE-81] is neither of them on a viewers’ socket of %s', async (encoding) => {
    for (const field of ['count', 'seq', ...(isTime ? [] : (['timestamp'] as const))] as const) {
      expect(await answerToViewer(port, encoding, batch(encoding, { [field]: valueIn(encoding) })), field).toBe('4400');
    }
    const answer = await answerToViewer(port, encoding, NO_FRAMES, hello(encoding, 'unacked_from', valueIn(encoding)));
    expect(answer, 'unacked_from').toBe(isNone && encoding === 'msgpack' ? 'goes on' : '4400');
    expect(surfaces.bad()).toEqual([]);
  });

  it('[EDGE-81] is heeded nowhere in a document', async () => {
    const stream = surfaces.freshStream();
    expect(await answerToUpdate(port, stream, keyedUpdate('stream', 'spread', { value: msgpack, at: 1, by: '' }))).toBe('goes on');
    expect(surfaces.plane.policyOf(stream).spread).toBe(1);
  });
});
