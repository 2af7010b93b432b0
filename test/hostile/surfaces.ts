/** Every public surface of a region, and what is sent to it. */

import { Encoder } from '@msgpack/msgpack';
import * as Y from 'yjs';
import { CONTROL_SUBPROTOCOL } from '../../src/protocol/control.ts';
import { keepAliveMessage, questionMessage, updateMessage } from '../../src/moderation/sync-protocol.ts';
import { NAMES } from '../edge/bad-names.ts';
import { overHead, overHttp, overSocket, type Attack, type Attacker, type HttpMessage } from './attack.ts';
import { awarenessMessage, keyedUpdate, nestedUpdate, paletteUpdate } from './control-messages.ts';
import { damage, hostileJson, hostileMsgpack, mutateValue, pick, randomBytes, upTo, type Random } from './mutations.ts';
import { SaidOnSocket, enterPost, type Encoding } from './said.ts';
import { OPCODES, frame, upgradeHead } from './websocket-bytes.ts';

export const STREAM = 'hostile';
/** Its document is one that hostile moderators may write. */
export const DOCUMENT = 'stream.victim';

export interface Surface extends Attack {
  readonly name: string;
  /** Its part of all messages. */
  readonly share: number;
}

/** Fewer than the window of a session has, so that none is too old. */
const SEQ_MAX = 50;
const encoder = new Encoder();

function reaction({ random, session }: Attacker, viewer: number): object {
  return {
    stream_id: STREAM,
    viewer_id: `hostile-${viewer}`,
    emoji_id: pick(random, ['heart', 'fire', 'clap']),
    count_since_last: 1 + upTo(random, 5),
    timestamp: 1_795_342_812_345,
    session_id: session(),
    seq: 1 + upTo(random, SEQ_MAX),
    ...(random() < 0.1 ? { via: ['eu'] } : {}),
  };
}

function post(encoding: Encoding) {
  return overHttp(
    ({ port }) => port,
    (attacker) => {
      const { target, random } = attacker;
      const viewer = upTo(random, target.viewerTokens.length);
      const good = random() < 0.2 ? [reaction(attacker, viewer), reaction(attacker, viewer)] : reaction(attacker, viewer);
      const value = random() < 0.1 ? good : mutateValue(random, good);
      const token = random() < 0.9 ? target.viewerTokens[viewer]! : pick(random, ['', 'a.b.c', `${target.viewerTokens[viewer]!}x`, 'x'.repeat(8_000)]);
      const head = `POST /reactions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${token}\r\ncontent-type: application/${encoding}\r\n`;
      return { head, body: damage(random, encoding === 'json' ? utf8(hostileJson(random, value)) : hostileMsgpack(value)) };
    },
    ({ books }, body, answer) => enterPost(books, encoding, body, answer),
  );
}

/** A message on a WebSocket. */
interface Message {
  readonly isBinary: boolean;
  readonly payload: Uint8Array;
}

const framed = ({ isBinary, payload }: Message): Buffer => frame(isBinary ? OPCODES.binary : OPCODES.text, payload);

const viewerPath = `/streams/${STREAM}/reactions`;

/** Mostly with a good hello before the rest. */
function viewersSocket(encoding: Encoding): Attack {
  const isBinary = encoding === 'msgpack';
  return overSocket((attacker, count) => {
    const { target, random, books } = attacker;
    const viewer = upTo(random, target.viewerTokens.length);
    const hello = random() < 0.8 ? { session: attacker.session(), viewer: `hostile-${viewer}` } : null;
    const messages = Array.from({ length: count }, (): Message => {
      const wrong = seldom(random, isBinary ? msgpackMessage(random) : jsonMessage(random));
      const payload = isBinary ? hostileMsgpack(wrong) : utf8(hostileJson(random, wrong));
      return { isBinary: isBinary !== (random() < 0.02), payload: random() < 0.9 ? payload : damage(random, payload) };
    });
    const said = new SaidOnSocket(encoding, hello, messages);
    const first = hello === null ? [] : [{ isBinary, payload: helloBytes(encoding, hello, target.viewerTokens[viewer]!) }];
    return {
      upgrade: upgradeHead(viewerPath, [`ovation.v1.${encoding}`]),
      bytes: Buffer.concat([...first, ...messages].map(framed)),
      hear: (payload) => said.hear(books, payload),
      end: () => said.end(books),
    };
  });
}

function helloBytes(encoding: Encoding, { session, viewer }: { readonly session: string; readonly viewer: string }, token: string): Uint8Array {
  if (encoding === 'msgpack') return encoder.encode([0, session, viewer, token, null]);
  return utf8(JSON.stringify({ type: 'hello', session_id: session, viewer_id: viewer, token }));
}

const jsonMessage = (random: Random): object =>
  random() < 0.15
    ? { type: 'hello', session_id: 'x', viewer_id: 'hostile-0', token: 'a.b.c', unacked_from: 3, device_id: 'd' }
    : { type: 'batch', seq: 1 + upTo(random, SEQ_MAX), reactions: [{ emoji_id: 'heart', count: 1 + upTo(random, 3) }], timestamp: 1_795_342_812_345 };

const msgpackMessage = (random: Random): unknown[] =>
  random() < 0.15 ? [0, 'x', 'hostile-0', 'a.b.c', 3, 'd'] : [1, 1 + upTo(random, SEQ_MAX), 1_795_342_812_345, 'heart', 1 + upTo(random, 3), ...(random() < 0.1 ? [['eu']] : [])];

/** Mostly good ones, or the first would end every connection. */
const seldom = (random: Random, good: unknown): unknown => (random() < 0.7 ? good : mutateValue(random, good));

const utf8 = (text: string): Buffer => Buffer.from(text);

/** Frames that break the protocol of WebSocket itself. */
function brokenFrame(random: Random): Uint8Array {
  const payload = utf8(JSON.stringify(jsonMessage(random)));
  switch (upTo(random, 9)) {
    case 0:
      return frame(pick(random, [3, 4, 5, 6, 7, 11, 15]), payload);
    case 1:
      return frame(1, payload.subarray(0, 20), false);
    case 2:
      return frame(0, payload.subarray(20));
    case 3:
      return frame(9, randomBytes(random, upTo(random, 126)));
    case 4:
      return frame(10, randomBytes(random, upTo(random, 200)));
    case 5:
      return Buffer.concat([Uint8Array.of(0x81, 0xff), randomBytes(random, 12)]);
    case 6:
      return Uint8Array.of(0x81, payload.length & 0x7f, ...payload);
    case 7:
      return damage(random, frame(1, payload));
    default:
      return frame(8, pick(random, [new Uint8Array(0), Uint8Array.of(3), Uint8Array.of(0, 0), Uint8Array.of(3, 232, 0xff, 0xfe), randomBytes(random, 60)]));
  }
}

function brokenUpgrade(random: Random): string {
  const path = pick(random, [viewerPath, '/streams/a.b/reactions', '/streams/%00/reactions', '/streams/../reactions', '/control/global', '/control/%zz', '/', '*', `/streams/${'x'.repeat(4_000)}/reactions`]);
  const lines = [
    `${pick(random, ['GET', 'GET', 'GET', 'POST', 'CONNECT', 'FOO'])} ${path} HTTP/1.1`,
    'host: x',
    `upgrade: ${pick(random, ['websocket', 'websocket', 'h2c', ''])}`,
    `connection: ${pick(random, ['upgrade', 'upgrade', 'keep-alive', 'close'])}`,
    `sec-websocket-version: ${pick(random, ['13', '13', '8', '99', ''])}`,
    `sec-websocket-key: ${pick(random, ['dGhlIHNhbXBsZSBub25jZQ==', 'x', '', 'x'.repeat(500)])}`,
    ...(random() < 0.4 ? [`sec-websocket-protocol: ${pick(random, ['chat', 'ovation.v1.json, ovation.v1.json', ',', '"', 'ovation.token.x', 'é'])}`] : []),
    ...(random() < 0.2 ? [`sec-websocket-extensions: ${pick(random, ['permessage-deflate', 'permessage-deflate; server_max_window_bits=99', 'x; y="', ';'])}`] : []),
    ...(random() < 0.2 ? [`origin: ${pick(random, ['null', 'https://evil.test', '\u0001', 'x'.repeat(1_000)])}`] : []),
  ];
  return `${lines.join('\r\n')}\r\n\r\n`;
}

function brokenHead(random: Random): string {
  const { length } = STREAM;
  switch (upTo(random, 11)) {
    case 0:
      return `GET / HTTP/1.1\r\nhost: x\r\n${Array.from({ length: 2_000 }, (_, index) => `x${index}: y\r\n`).join('')}\r\n`;
    case 1:
      return 'POST /reactions HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n';
    case 2:
      return `POST /reactions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: ${pick(random, ['-1', '99999999999999999999', '1e3', '0x10', '5, 6'])}\r\n\r\n{}`;
    case 3:
      return 'POST /reactions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\nfffffffffffff\r\n{}';
    case 4:
      return `GET /${'a/'.repeat(7_000)} HTTP/1.1\r\nhost: x\r\n\r\n`;
    case 5:
      return `GET ${viewerPath} HTTP/${pick(random, ['0.9', '1.0', '2.0', '9.9', ''])}\r\nhost: x\r\n\r\n`;
    case 6:
      return 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';
    case 7:
      return '\u0016\u0003\u0001\u0000\u00a5\u0001\u0000\u0000\u00a1\u0003\u0003';
    case 8:
      return `POST /reactions HTTP/1.1\r\nhost: x\r\nexpect: ${pick(random, ['100-continue', 'x'])}\r\ncontent-type: ${pick(random, ['application/json', 'application/json; charset=utf-7', 'text/xml', '\u0001', ','])}\r\ncontent-length: ${length}\r\n\r\n${STREAM}`;
    case 9:
      return `HEAD ${viewerPath} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n`;
    default:
      return Buffer.from(damage(random, utf8(`GET ${viewerPath} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer a.b.c\r\n\r\n`))).toString('latin1');
  }
}

const PATHS = [
  viewerPath, `${viewerPath}/history`, `/streams/${STREAM}/audit`, `/streams/${STREAM}/flagged`, '/streams', '/control/global/policy', `/control/${DOCUMENT}/policy`,
  `/control/${DOCUMENT}/changes`, '/docs/json', '/nowhere',
];
const IDS = ['derby', 'a.b', '*', '%3E', '%00', '..%2f', '__proto__', 'constructor', 'x'.repeat(65), '%zz', '%ed%a0%80', '%F0%9F%98%80', '..', '%25', "'%20OR%201=1"];
const QUERIES = ['from', 'to', 'step', 'emoji_id', 'format', 'limit', 'region', '__proto__', 'constructor[prototype]', 'from[]', 'a'];
const ANSWERS = ['0', '-1', '1e999', 'NaN', '2026-13-45T99:99:99Z', '9007199254740993', '-271821-04-20T00:00:00.000Z', '1s', '10s', '1m', '1h', '0s', 'csv', '', '%00', "'%3B%20DROP%20TABLE%20x", '%ff', '1', '500', '1000', '99999999', '1795342812345'];

function query({ target, random }: Attacker): HttpMessage {
  const parts = pick(random, PATHS).split('/');
  if (random() < 0.4) parts[Math.min(2, parts.length - 1)] = pick(random, IDS);
  const search = Array.from({ length: upTo(random, 5) }, () => `${pick(random, QUERIES)}=${pick(random, ANSWERS)}`).join('&');
  const accept = random() < 0.2 ? `accept: ${pick(random, ['text/csv', '*/*;q=x', ',', 'x'.repeat(900)])}\r\n` : '';
  const token = pick(random, [target.moderatorToken, target.moderatorToken, target.viewerTokens[0]!, 'a.b.c', '']);
  return { head: `${pick(random, ['GET', 'GET', 'GET', 'OPTIONS', 'DELETE', 'PUT'])} ${parts.join('/')}?${search} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${token}\r\n${accept}` };
}

const FILES = ['', 'index.html', 'console.css', '../console/index.html', '..%2f..%2fetc%2fpasswd', '%2e%2e/%2e%2e/etc/passwd', '....//', '%00', 'constructor', '__proto__', 'console-page.js', 'index.html%00.css', '\\..\\'];

const goodUpdate = (() => {
  const doc = new Y.Doc();
  doc.getMap('palette').set('star', { glyph: '⭐', enabled: true, order: 9 });
  doc.getMap('mutes').set('abc:viewer:ann', { until: null, by: 'x', reason: '<b>', retractFrom: null, at: 1, liftedAt: null });
  return Y.encodeStateAsUpdate(doc);
})();
const NAMED_UPDATES = Object.values(NAMES).flatMap(([name]) => [
  keyedUpdate('palette', name, { glyph: name }),
  keyedUpdate('mutes', `d1:viewer:${name}`, { at: 1, by: name, reason: name }),
  keyedUpdate('stream', name, { value: name, at: 1, by: name }),
]);
/** Seldom, because most of them are as long as may be. */
const LARGE_UPDATES = [nestedUpdate(32_000, 'list'), nestedUpdate(16_000, 'object'), nestedUpdate(2_000, 'prototype'), paletteUpdate(200)];

function controlMessage(random: Random): Message {
  const good = random() < 0.8 ? goodUpdate : pick(random, random() < 0.9 ? NAMED_UPDATES : LARGE_UPDATES);
  const update = random() < 0.5 ? good : damage(random, good);
  const message = pick(random, [
    questionMessage(Uint8Array.of(0)), updateMessage(update), updateMessage(update), keepAliveMessage(), awarenessMessage(upTo(random, 2 ** 32)), randomBytes(random, upTo(random, 60)),
  ]);
  return { isBinary: random() < 0.95, payload: random() < 0.6 ? message : damage(random, message) };
}

function moderatorsSocket(upgrade: (attacker: Attacker) => string): Attack {
  return overSocket((attacker, count) => ({
    upgrade: upgrade(attacker),
    bytes: Buffer.concat(Array.from({ length: count }, () => framed(controlMessage(attacker.random)))),
  }));
}

export const SURFACES: readonly Surface[] = [
  { name: 'POST /reactions, JSON', share: 20, ...post('json') },
  { name: 'POST /reactions, msgpack', share: 15, ...post('msgpack') },
  { name: 'viewers’ socket, JSON', share: 20, ...viewersSocket('json') },
  { name: 'viewers’ socket, msgpack', share: 20, ...viewersSocket('msgpack') },
  {
    name: 'viewers’ socket, broken frames',
    share: 10,
    ...overSocket(({ random }, count) => ({
      upgrade: upgradeHead(viewerPath, pick(random, [[], ['ovation.v1.msgpack']])),
      bytes: Buffer.concat(Array.from({ length: count }, () => brokenFrame(random))),
    })),
  },
  { name: 'upgrades', share: 2, ...overHead(brokenUpgrade) },
  { name: 'requests that are none', share: 2, ...overHead(brokenHead) },
  {
    name: 'moderators’ socket, good token',
    share: 4,
    ...moderatorsSocket(({ target }) => upgradeHead(`/control/${DOCUMENT}`, [CONTROL_SUBPROTOCOL, `ovation.token.${target.moderatorToken}`])),
  },
  {
    name: 'moderators’ socket, no good token',
    share: 2,
    ...moderatorsSocket(({ target: { viewerTokens }, random }) =>
      upgradeHead(pick(random, [`/control/${DOCUMENT}`, '/control/global', '/control/x']), [CONTROL_SUBPROTOCOL, ...pick(random, [[], ['ovation.token.a.b.c'], [`ovation.token.${viewerTokens[0]!}`]])]),
    ),
  },
  { name: 'reading', share: 3, ...overHttp(({ port }) => port, query) },
  {
    name: 'console',
    share: 1,
    ...overHttp(({ port }) => port, ({ random }) => ({ head: `GET /console/${pick(random, FILES)} HTTP/1.1\r\nhost: ${pick(random, ['x', 'a b', '"', 'x:99999', '[::1]'])}\r\n` })),
  },
  {
    name: 'admin port',
    share: 1,
    ...overHttp(({ adminPort }) => adminPort, ({ random }) => ({
      head: `${pick(random, ['GET', 'POST', 'DELETE'])} ${pick(random, ['/livez', '/readyz', '/livez?x=%00', '/nowhere', '/%zz', '/metrics/../x', `/${'x'.repeat(5_000)}`])} HTTP/1.1\r\nhost: x\r\n`,
      body: pick(random, [new Uint8Array(0), new Uint8Array(0), randomBytes(random, 30), new Uint8Array(2_000)]),
    })),
  },
];
