/**
 * The matrix of bad inputs: each of them, on every surface that takes such a thing, with the answer; of names and numbers in
 * `bad-names.test.ts`. Whatever the answer, what is bad is not counted, nothing is logged as an error, and the next is served.
 */

import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { PALETTE_MAX } from '../../src/moderation/policy.ts';
import { updateMessage } from '../../src/moderation/sync-protocol.ts';
import { CONTROL_SUBPROTOCOL } from '../../src/protocol/control.ts';
import { awarenessMessage, keyedUpdate, nestedUpdate, paletteUpdate } from '../hostile/control-messages.ts';
import { hostileMsgpack, nested } from '../hostile/mutations.ts';
import { OPCODES, frame, upgradeHead } from '../hostile/websocket-bytes.ts';
import { GOOD_REACTION, answerToBytes, answerToModerator, answerToPost, answerToViewer, messageFrame, reaction, startSurfaces, type Bytes, type Encoding, type Surfaces } from './surfaces.ts';

let surfaces: Surfaces;

beforeAll(async () => {
  surfaces = await startSurfaces();
});
afterAll(() => surfaces.stop());

/** What is sent, and the answer. */
type Cell = readonly [bytes: Bytes, answer: string, headers?: string] | null;
type Cells = Readonly<Record<'postJson' | 'postMsgpack' | 'socketJson' | 'socketMsgpack' | 'control', Cell>>;

const whole = { json: JSON.stringify(GOOD_REACTION), msgpack: hostileMsgpack(GOOD_REACTION) };
const said = { json: '{"type":"batch","seq":1,"reactions":[{"emoji_id":"heart","count":1}],"timestamp":1}', msgpack: hostileMsgpack([1, 1, 1, 'heart', 1]) };
const written = updateMessage(keyedUpdate('palette', 'star', { glyph: '*' }));
const half = (bytes: Bytes): Bytes => bytes.slice(0, bytes.length >> 1);
const inField = (encoding: Encoding, value: unknown): Bytes => reaction(encoding, 'timestamp', value);
const emoji = (count: number, field: 'count' | 'count_since_last' = 'count_since_last'): object[] => Array.from({ length: count }, (_, index) => ({ emoji_id: `e${index}`, [field]: 1 }));
const rest = { stream_id: 'derby', viewer_id: 'ann', timestamp: 1 };
const zeros = gzipSync(Buffer.alloc(20_000_000));
const gzip = 'content-encoding: gzip\r\n';
const polluted: unknown = JSON.parse('{"__proto__":{"polluted":1}}');
const empty = Buffer.alloc(0);

const MESSAGES: Readonly<Record<string, Cells>> = {
  'nothing': {
    postJson: ['', '400'], postMsgpack: [empty, '400'], socketJson: ['', '4400'], socketMsgpack: [empty, '4400'], control: [empty, '4400'],
  },
  'the first half of a message': {
    postJson: [half(whole.json), '400'], postMsgpack: [half(whole.msgpack), '400'],
    socketJson: [half(said.json), '4400'], socketMsgpack: [half(said.msgpack), '4400'], control: [half(written), '4400'],
  },
  'a message and junk behind it': {
    postJson: [`${whole.json}x`, '400'], postMsgpack: [Buffer.concat([whole.msgpack, Buffer.of(1)]), '400'],
    socketJson: [`${said.json}x`, '4400'], socketMsgpack: [Buffer.concat([said.msgpack, Buffer.of(1)]), '4400'], control: [Buffer.concat([written, Buffer.of(1)]), '4400'],
  },
  'a list that claims 2³² − 1, or structs that claim 30 million': {
    postJson: null, postMsgpack: [Buffer.of(0xdd, 255, 255, 255, 255), '400'],
    socketJson: null, socketMsgpack: [Buffer.of(0xdd, 255, 255, 255, 255), '4400'], control: [updateMessage(Uint8Array.of(1, 0x80, 0x87, 0xa7, 0x0e, 1, 0)), '4400'],
  },
  'a text that claims 2³² − 1': {
    postJson: null, postMsgpack: [Buffer.of(0x91, 0xdb, 255, 255, 255, 255), '400'],
    socketJson: null, socketMsgpack: [Buffer.of(0x92, 1, 0xdb, 255, 255, 255, 255), '4400'], control: [Uint8Array.of(0, 2, 255, 255, 255, 255, 15), '4400'],
  },
  '200,000 lists in each other': {
    postJson: [nested(200_000, true).text, '413'], postMsgpack: [nested(200_000, true).bytes, '413'],
    socketJson: [nested(200_000, true).text, '1009'], socketMsgpack: [nested(200_000, true).bytes, '1009'], control: [updateMessage(nestedUpdate(200_000, 'list')), '1009'],
  },
  'as many lists in each other as fit': {
    postJson: [nested(32_000, true).text, '422'], postMsgpack: [nested(65_000, true).bytes, '400'],
    socketJson: [nested(2_000, true).text, '4400'], socketMsgpack: [nested(4_000, true).bytes, '4400'], control: [updateMessage(nestedUpdate(32_000, 'list')), '4400'],
  },
  'as many objects in each other as fit': {
    postJson: [nested(10_000, false).text, '422'], postMsgpack: [nested(21_000, false).bytes, '400'],
    socketJson: [nested(600, false).text, '4400'], socketMsgpack: [nested(1_300, false).bytes, '4400'], control: [updateMessage(nestedUpdate(16_000, 'object')), '4400'],
  },
  'as many of them in a field as fit': {
    postJson: [inField('json', nested(30_000, true).text), '422'], postMsgpack: [inField('msgpack', nested(60_000, true)), '400'],
    socketJson: [said.json.replace('"timestamp":1', `"timestamp":${nested(1_900, true).text}`), '4400'], socketMsgpack: [hostileMsgpack([1, 1, nested(3_900, true), 'heart', 1]), '4400'],
    control: [updateMessage(nestedUpdate(5, 'list')), '4400'],
  },
  'a key __proto__': {
    postJson: [`{"__proto__":{"polluted":1},${whole.json.slice(1)}`, '400'], postMsgpack: [hostileMsgpack(polluted), '400'],
    socketJson: [`{"__proto__":{"polluted":1},${said.json.slice(1)}`, '4400'], socketMsgpack: [hostileMsgpack(polluted), '4400'], control: [updateMessage(nestedUpdate(1, 'prototype')), '4400'],
  },
  'a key __proto__ further down': {
    postJson: [inField('json', '{"__proto__":{"polluted":1}}'), '400'], postMsgpack: [inField('msgpack', polluted), '400'],
    socketJson: [said.json.replace('"count":1', '"count":1,"__proto__":{"polluted":1}'), '4400'], socketMsgpack: [hostileMsgpack([1, 1, polluted, 'heart', 1]), '4400'],
    control: [updateMessage(nestedUpdate(2_000, 'prototype')), '4400'],
  },
  'a key constructor': {
    postJson: [JSON.stringify({ ...GOOD_REACTION, constructor: { prototype: {} } }), '400'], postMsgpack: [hostileMsgpack({ ...rest, reactions: [{ ...emoji(1)[0], constructor: {} }] }), '422'],
    socketJson: [said.json.replace('"count":1', '"count":1,"constructor":{}'), '4400'], socketMsgpack: [hostileMsgpack([1, 1, { constructor: {} }, 'heart', 1]), '4400'],
    control: [updateMessage(keyedUpdate('palette', 'star', { constructor: { prototype: { polluted: 1 } } })), 'goes on'],
  },
  'ten thousand emoji': {
    postJson: [JSON.stringify({ ...rest, reactions: emoji(10_000) }), '413'], postMsgpack: [hostileMsgpack({ ...rest, reactions: emoji(10_000) }), '413'],
    socketJson: [JSON.stringify({ type: 'batch', seq: 1, reactions: emoji(10_000, 'count'), timestamp: 1 }), '1009'], socketMsgpack: [hostileMsgpack([1, 1, 1, ...emoji(10_000).flatMap((_each, index) => [`e${index}`, 1])]), '1009'],
    control: [updateMessage(paletteUpdate(10_000)), '1009'],
  },
  'as many emoji as fit': {
    postJson: [JSON.stringify({ ...rest, reactions: emoji(1_500) }), '422'], postMsgpack: [hostileMsgpack({ ...rest, reactions: emoji(1_500) }), '400'],
    socketJson: [JSON.stringify({ type: 'batch', seq: 1, reactions: emoji(110, 'count'), timestamp: 1 }), '4400'], socketMsgpack: [hostileMsgpack([1, 1, 1, ...emoji(600).flatMap((_each, index) => [`e${index}`, 1])]), '4400'],
    control: [updateMessage(paletteUpdate(1_900)), 'goes on'],
  },
  'the other encoding': {
    postJson: [whole.msgpack, '400'], postMsgpack: [whole.json, '400'], socketJson: [said.msgpack, '1007'], socketMsgpack: [said.json, '4400'], control: [said.json, '4400'],
  },
  'a bomb that is to be inflated': {
    postJson: [zeros, '400', gzip], postMsgpack: [zeros, '400', gzip], socketJson: null, socketMsgpack: null, control: null,
  },
  'a message of a type that is none': {
    postJson: null, postMsgpack: null, socketJson: ['{"type":"frame"}', '4400'], socketMsgpack: [hostileMsgpack([9, 1, 1, 'heart', 1]), '4400'], control: [Uint8Array.of(9, 1, 2), '4400'],
  },
  'an update of 66 KiB': {
    postJson: null, postMsgpack: null, socketJson: null, socketMsgpack: null, control: [updateMessage(new Uint8Array(66 * 1024)), '4413'],
  },
  'awareness of somebody else': {
    postJson: null, postMsgpack: null, socketJson: null, socketMsgpack: null, control: [awarenessMessage(7), 'goes on'],
  },
  'a time that is to come': {
    postJson: [inField('json', 4_102_444_800_000), '202'], postMsgpack: [inField('msgpack', 4_102_444_800_000), '202'],
    socketJson: [said.json.replace('"timestamp":1', '"timestamp":4102444800000'), 'goes on'], socketMsgpack: [hostileMsgpack([1, 1, 4_102_444_800_000, 'heart', 1]), 'goes on'],
    control: [updateMessage(keyedUpdate('mutes', 'd1:viewer:ann', { at: 4_102_444_800_000, by: 'ada' })), 'goes on'],
  },
  'the greatest sequence, after a gap': {
    postJson: [reaction('json', 'seq', Number.MAX_SAFE_INTEGER), '202'], postMsgpack: [reaction('msgpack', 'seq', BigInt(Number.MAX_SAFE_INTEGER)), '202'],
    socketJson: [said.json.replace('"seq":1', `"seq":${Number.MAX_SAFE_INTEGER}`), 'goes on'], socketMsgpack: [hostileMsgpack([1, BigInt(Number.MAX_SAFE_INTEGER), 1, 'heart', 1]), 'goes on'],
    control: null,
  },
};

/** Bytes on a WebSocket, and how it ends. */
const FRAMES: Readonly<Record<string, readonly [bytes: Uint8Array, socketJson: string, socketMsgpack: string, control: string]>> = {
  //                                    bytes                                                        JSON    msgpack control
  'an unmasked frame':                  [Buffer.of(0x81, 1, 0x78),                                    '1002', '1002', '1002'],
  'a compressed frame':                 [masked(0xc1),                                                '1002', '1002', '1002'],
  'a reserved opcode':                  [masked(0x83),                                                '1002', '1002', '1002'],
  'text that is no UTF-8':              [frame(OPCODES.text, Buffer.of(0xff)),                        '1007', '1007', '1007'],
  'a frame of 2⁶³ bytes':               [Buffer.of(0x82, 0xff, 0x7f, ...Buffer.alloc(11, 0xff)),      '1009', '1009', '1009'],
  'a fragment that goes on with nothing': [masked(0x80),                                              '1002', '1002', '1002'],
  '4,000 fragments without an end':     [Buffer.concat([masked(0x02), ...many(4_000, masked(0x00))]), '1008', '1008', '1008'],
  'a ping of 126 bytes':                [frame(OPCODES.ping, Buffer.alloc(126)),                      '1002', '1002', '1002'],
  // More in one piece than pongs can go out meanwhile; one moderator's message is read in each turn.
  '400 pings':                          [Buffer.concat(many(400, frame(OPCODES.ping, empty))),        'cut',  'cut',  '4529'],
  'a close that says half a code':      [frame(OPCODES.close, Buffer.of(3)),                          '1002', '1002', '1002'],
};

/** Headers, and the status that is answered to a request that has them. */
const HEADERS: Readonly<Record<string, readonly [headers: string, post: string, viewers: string, moderators: string, admin: string]>> = {
  //                                     headers                                                         post   viewers moderators admin
  'no others':                           ['',                                                             '202', '101', '101', '200'],
  // Node keeps no more than 2,000, so that what stands behind them is not there.
  '2,000 headers':                       [headers(2_000, ''),                                             '202', '200', '404', '200'],
  '2,000 headers of more than 16 KiB':   [headers(2_000, 'a value'),                                       '431', '431', '431', '431'],
  'a header of more than 16 KiB':        [`x: ${'y'.repeat(17_000)}\r\n`,                                 '431', '431', '431', '431'],
  'a header with a NUL':                 ['x: \0\r\n',                                                    '400', '400', '400', '400'],
  'a length that is said twice':         ['content-length: 5\r\ncontent-length: 6\r\n',                   '400', '400', '400', '400'],
  'a length, and pieces too':            ['content-length: 5\r\ntransfer-encoding: chunked\r\n',          '400', '400', '400', '400'],
};

/** What is no request; each port says so alike. */
const JUNK: Readonly<Record<string, readonly [bytes: Bytes, answer: string]>> = {
  'the greeting of TLS': [Buffer.of(0x16, 3, 1, 0, 0xa5, 1, 0, 0, 0xa1, 3, 3), '400'],
  'the greeting of HTTP/2': ['PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', '400'],
  'a line of words': ['HELO there\r\n\r\n', '400'],
  'a path that means nothing': ['GET /%zz HTTP/1.1\r\nhost: x\r\n\r\n', '400'],
};

function masked(head: number): Buffer {
  return Buffer.of(head, 0x81, 0, 0, 0, 0, 0x78);
}

function many(count: number, bytes: Uint8Array): Uint8Array[] {
  return Array.from({ length: count }, () => bytes);
}

function headers(count: number, value: string): string {
  return Array.from({ length: count }, (_each, index) => `${index.toString(36)}:${value}\r\n`).join('');
}

/** What every input leaves behind: nothing. */
function expectNothing(): void {
  expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
  expect(surfaces.region.logged.filter(({ level }) => level === 'error')).toEqual([]);
}

describe.each(Object.entries(MESSAGES))('%s', (_what, cells) => {
  const columns = (Object.keys(cells) as (keyof Cells)[]).flatMap((surface) => (cells[surface] === null ? [] : [{ surface, cell: cells[surface] }]));

  it.each(columns)('[EDGE-82] has its answer on $surface', async ({ surface, cell: [bytes, answer, headers] }) => {
    const { region, plane, port, bad, freshStream } = surfaces;
    const [stream, encoding] = [freshStream(), surface.endsWith('Json') ? 'json' : 'msgpack'] as const;
    region.batches.length = 0;
    if (surface === 'control') {
      expect(await answerToModerator(port, `stream.${stream}`, messageFrame('msgpack', bytes))).toBe(answer);
      if (answer !== 'goes on') expect(plane.state(`stream.${stream}`)).toBeNull();
      expect(plane.policyOf(stream).palette.size).toBeLessThanOrEqual(PALETTE_MAX);
    } else {
      const answered = surface.startsWith('post') ? answerToPost(port, encoding, bytes, headers) : answerToViewer(port, encoding, messageFrame(encoding, bytes));
      expect(await answered).toBe(answer);
      expect(bad()).toHaveLength(answer === '202' || answer === 'goes on' ? 1 : 0);
    }
    expectNothing();
  });
});

it.each(Object.entries(FRAMES))('[EDGE-40] %s is cut off on every socket, and disturbs nobody', async (_what, [bytes, ...answers]) => {
  const { port, freshStream } = surfaces;
  expect([await answerToViewer(port, 'json', bytes), await answerToViewer(port, 'msgpack', bytes), await answerToModerator(port, `stream.${freshStream()}`, bytes)]).toEqual(answers);
  expect(await answerToViewer(port, 'json', empty)).toBe('goes on');
  expectNothing();
});

it('[EDGE-40] the other kind of frame than was agreed upon is cut off', async () => {
  const { port, freshStream } = surfaces;
  expect(await answerToViewer(port, 'json', messageFrame('msgpack', said.json))).toBe('4400');
  expect(await answerToViewer(port, 'msgpack', messageFrame('json', 'x'))).toBe('4400');
  expect(await answerToModerator(port, `stream.${freshStream()}`, messageFrame('json', 'x'))).toBe('4400');
});

it.each(Object.entries(HEADERS))('[EDGE-24] %s have their answer on every port', async (_what, [lines, ...answers]) => {
  const { port, adminPort } = surfaces;
  const post = `POST /reactions HTTP/1.1\r\nhost: x\r\n${lines.startsWith('content') ? '' : `content-length: ${whole.json.length}\r\n`}content-type: application/json\r\n${lines}\r\n${whole.json}`;
  const requests = [
    [port, post],
    [port, upgradeHead('/streams/derby/reactions', ['ovation.v1.json'], lines)],
    [port, upgradeHead('/control/global', [CONTROL_SUBPROTOCOL], lines)],
    [adminPort, `GET /livez HTTP/1.1\r\nhost: x\r\n${lines}\r\n`],
  ] as const;
  expect(await Promise.all(requests.map(([at, request]) => answerToBytes(at, request)))).toEqual(answers);
  expectNothing();
});

it.each(Object.entries(JUNK))('[EDGE-24] %s is no request, and told so on every port', async (_what, [bytes, answer]) => {
  const { port, adminPort } = surfaces;
  expect([await answerToBytes(port, bytes), await answerToBytes(adminPort, bytes)]).toEqual([answer, answer]);
  expectNothing();
});
