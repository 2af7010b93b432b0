/**
 * Every public surface of a region, and how it is attacked: each attack is a connection, or a few, on which mutated messages
 * are sent, and answers what became of them.
 */

import { randomBytes as cryptoRandomBytes } from 'node:crypto';
import { Encoder } from '@msgpack/msgpack';
import * as Y from 'yjs';
import { CONTROL_SUBPROTOCOL } from '../../src/protocol/control.ts';
import { keepAliveMessage, questionMessage, updateMessage } from '../../src/moderation/sync-protocol.ts';
import { BareConnection } from './bare-connection.ts';
import { damage, hostileJson, mutateValue, pick, randomBytes, upTo, withoutVerbatim, type Random } from './mutations.ts';

export const STREAM = 'hostile';
/** Its document is one that hostile moderators may write. */
export const DOCUMENT = 'stream.victim';

export interface Target {
  readonly port: number;
  readonly adminPort: number;
  /** Good tokens for `STREAM`, of the viewers `hostile-0`, `hostile-1`, … */
  readonly viewerTokens: readonly string[];
  /** A good token for the document. */
  readonly moderatorToken: string;
}

/** What was answered, and how often. */
export type Answers = Map<string, number>;

/** Waits until so many messages may be sent. */
export type Pace = (messages: number) => Promise<void>;

export interface Surface extends Attack {
  readonly name: string;
  /** Its part of all messages. */
  readonly share: number;
}

interface Attack {
  /** Messages of one attack at most. */
  readonly atOnceMax: number;
  /** Sends so many messages at most, and answers how many it sent. */
  attack(target: Target, random: Random, messages: number, answers: Answers, pace: Pace): Promise<number>;
}

/** How long a socket may be silent until it is taken for one that stays open. */
const SILENT_MS = 150;
/** How long who has perhaps not sent a whole request waits for an answer. */
const PATIENCE_MS = 1_000;
const PER_CONNECTION = 40;
/** The first that is malformed ends a socket, and what comes after it is not looked at. */
const PER_SOCKET = 8;
const encoder = new Encoder();

function note(answers: Answers, answer: string): void {
  answers.set(answer, (answers.get(answer) ?? 0) + 1);
}

interface HttpMessage {
  readonly head: string;
  readonly body?: Uint8Array;
}

/** Requests one after the other on a connection, each after the answer to the one before. */
function overHttp(portOf: (target: Target) => number, make: (target: Target, random: Random) => HttpMessage): Attack {
  const attack: Attack['attack'] = async (target, random, messages, answers, pace) => {
    const connection = await BareConnection.open(portOf(target));
    let sent = 0;
    while (sent < messages && !connection.isEnded) {
      const { head, body = new Uint8Array(0) } = make(target, random);
      await pace(1);
      connection.write(Buffer.concat([Buffer.from(`${head}content-length: ${body.length}\r\n\r\n`, 'latin1'), body]));
      sent += 1;
      note(answers, `http ${(await connection.status()) ?? 'cut'}`);
    }
    connection.close();
    return sent;
  };
  return { atOnceMax: PER_CONNECTION, attack };
}

function reaction(random: Random, viewer: number): object {
  return {
    stream_id: STREAM,
    viewer_id: `hostile-${viewer}`,
    emoji_id: pick(random, ['heart', 'fire', 'clap']),
    count_since_last: 1 + upTo(random, 5),
    timestamp: 1_795_342_812_345,
    session_id: `s${upTo(random, 1_000)}`,
    seq: 1 + upTo(random, 100),
    ...(random() < 0.1 ? { via: ['eu'] } : {}),
  };
}

function post(type: string, encode: (random: Random, value: unknown) => Uint8Array) {
  return overHttp(({ port }) => port, (target, random) => {
    const viewer = upTo(random, target.viewerTokens.length);
    const good = random() < 0.2 ? [reaction(random, viewer), reaction(random, viewer)] : reaction(random, viewer);
    const value = random() < 0.1 ? good : mutateValue(random, good);
    const token = random() < 0.9 ? target.viewerTokens[viewer]! : pick(random, ['', 'a.b.c', `${target.viewerTokens[viewer]!}x`, 'x'.repeat(8_000)]);
    return { head: `POST /reactions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${token}\r\ncontent-type: ${type}\r\n`, body: encode(random, value) };
  });
}

/** A frame of a client, with a mask of zeros. */
function frame(opcode: number, payload: Uint8Array, isFinal = true): Buffer {
  const { length } = payload;
  const size = length < 126 ? [0x80 | length] : length < 65_536 ? [0x80 | 126, length >> 8, length & 0xff] : [0x80 | 127, 0, 0, 0, 0, 0, length >> 16, (length >> 8) & 0xff, length & 0xff];
  return Buffer.concat([Uint8Array.of((isFinal ? 0x80 : 0) | opcode, ...size, 0, 0, 0, 0), payload]);
}

function upgradeHead(path: string, subprotocols: readonly string[]): string {
  const offered = subprotocols.length === 0 ? '' : `sec-websocket-protocol: ${subprotocols.join(', ')}\r\n`;
  const key = cryptoRandomBytes(16).toString('base64');
  return `GET ${path} HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-version: 13\r\nsec-websocket-key: ${key}\r\n${offered}\r\n`;
}

/** A good upgrade, perhaps good first words, and then what `make` makes, all at once. */
function overSocket(
  upgrade: (target: Target, random: Random) => string,
  first: (target: Target, random: Random) => Uint8Array | null,
  make: (random: Random) => Uint8Array,
): Attack {
  const attack: Attack['attack'] = async (target, random, messages, answers, pace) => {
    const count = Math.min(messages, 1 + upTo(random, PER_SOCKET));
    await pace(count);
    const connection = await BareConnection.open(target.port);
    connection.write(upgrade(target, random));
    const status = await connection.status();
    if (status !== 101) {
      note(answers, `http ${status ?? 'cut'}`);
      connection.close();
      return 1;
    }
    const said = first(target, random);
    if (said !== null) connection.write(said);
    connection.write(Buffer.concat(Array.from({ length: count }, () => make(random))));
    note(answers, `socket ${await connection.ending(SILENT_MS)}`);
    connection.close();
    return count;
  };
  return { atOnceMax: PER_SOCKET, attack };
}

const viewerPath = `/streams/${STREAM}/reactions`;

function hello({ viewerTokens }: Target, random: Random): object {
  const viewer = upTo(random, viewerTokens.length);
  return { type: 'hello', session_id: `h${upTo(random, 1_000)}`, viewer_id: `hostile-${viewer}`, token: viewerTokens[viewer] };
}

const clientMessages = (random: Random): object =>
  random() < 0.15
    ? { type: 'hello', session_id: 'x', viewer_id: 'hostile-0', token: 'a.b.c', unacked_from: 3, device_id: 'd' }
    : { type: 'batch', seq: 1 + upTo(random, 50), reactions: [{ emoji_id: 'heart', count: 1 + upTo(random, 3) }], timestamp: 1_795_342_812_345 };

const msgpackMessages = (random: Random): unknown[] =>
  random() < 0.15 ? [0, 'x', 'hostile-0', 'a.b.c', 3, 'd'] : [1, 1 + upTo(random, 50), 1_795_342_812_345, 'heart', 1 + upTo(random, 3), ...(random() < 0.1 ? [['eu']] : [])];

/** Mostly good ones, or the first would end every connection. */
const seldom = (random: Random, good: unknown): unknown => (random() < 0.7 ? good : mutateValue(random, good));

const utf8 = (text: string): Buffer => Buffer.from(text);

/** Frames that break the protocol of WebSocket itself. */
function brokenFrame(random: Random): Uint8Array {
  const payload = utf8(JSON.stringify(clientMessages(random)));
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

/** One message a connection; who is not answered soon leaves. */
function overHead(make: (random: Random) => string): Attack {
  const attack: Attack['attack'] = async ({ port }, random, _messages, answers, pace) => {
    await pace(1);
    const connection = await BareConnection.open(port);
    connection.write(Buffer.from(make(random), 'latin1'));
    const status = await connection.status(PATIENCE_MS);
    note(answers, status === null ? (connection.isEnded ? 'http cut' : 'left waiting') : `http ${status}`);
    connection.close();
    return 1;
  };
  return { atOnceMax: 1, attack };
}

const PATHS = [
  viewerPath, `${viewerPath}/history`, `/streams/${STREAM}/audit`, `/streams/${STREAM}/flagged`, '/streams', '/control/global/policy', `/control/${DOCUMENT}/policy`,
  `/control/${DOCUMENT}/changes`, '/docs/json', '/nowhere',
];
const IDS = ['derby', 'a.b', '*', '%3E', '%00', '..%2f', '__proto__', 'constructor', 'x'.repeat(65), '%zz', '%ed%a0%80', '%F0%9F%98%80', '..', '%25', "'%20OR%201=1"];
const QUERIES = ['from', 'to', 'step', 'emoji_id', 'format', 'limit', 'region', '__proto__', 'constructor[prototype]', 'from[]', 'a'];
const ANSWERS = ['0', '-1', '1e999', 'NaN', '2026-13-45T99:99:99Z', '9007199254740993', '-271821-04-20T00:00:00.000Z', '1s', '10s', '1m', '1h', '0s', 'csv', '', '%00', "'%3B%20DROP%20TABLE%20x", '%ff', '1', '500', '1000', '99999999', '1795342812345'];

function query(target: Target, random: Random): HttpMessage {
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

function controlMessage(random: Random): Uint8Array {
  const update = random() < 0.5 ? goodUpdate : damage(random, goodUpdate);
  const message = pick(random, [questionMessage(Uint8Array.of(0)), updateMessage(update), updateMessage(update), keepAliveMessage(), randomBytes(random, upTo(random, 60))]);
  return frame(random() < 0.95 ? 2 : 1, random() < 0.6 ? message : damage(random, message));
}

const silence = (): null => null;

export const SURFACES: readonly Surface[] = [
  { name: 'POST /reactions, JSON', share: 20, ...post('application/json', (random, value) => damage(random, utf8(hostileJson(random, value)))) },
  { name: 'POST /reactions, msgpack', share: 15, ...post('application/msgpack', (random, value) => damage(random, encoder.encode(withoutVerbatim(value)))) },
  {
    name: 'viewers’ socket, JSON',
    share: 20,
    ...overSocket(() => upgradeHead(viewerPath, ['ovation.v1.json']), (target, random) => (random() < 0.8 ? frame(1, utf8(JSON.stringify(hello(target, random)))) : null), (random) => {
      const text = utf8(hostileJson(random, seldom(random, clientMessages(random))));
      return frame(random() < 0.98 ? 1 : 2, random() < 0.9 ? text : damage(random, text));
    }),
  },
  {
    name: 'viewers’ socket, msgpack',
    share: 20,
    ...overSocket(() => upgradeHead(viewerPath, ['ovation.v1.msgpack']), (target, random) => (random() < 0.8 ? frame(2, encoder.encode(Object.values(hello(target, random)).with(0, 0))) : null), (random) => {
      const bytes = encoder.encode(withoutVerbatim(seldom(random, msgpackMessages(random))));
      return frame(random() < 0.98 ? 2 : 1, random() < 0.9 ? bytes : damage(random, bytes));
    }),
  },
  { name: 'viewers’ socket, broken frames', share: 10, ...overSocket(() => upgradeHead(viewerPath, []), silence, brokenFrame) },
  { name: 'upgrades', share: 2, ...overHead(brokenUpgrade) },
  { name: 'requests that are none', share: 2, ...overHead(brokenHead) },
  {
    name: 'moderators’ socket, good token',
    share: 4,
    ...overSocket(({ moderatorToken }) => upgradeHead(`/control/${DOCUMENT}`, [CONTROL_SUBPROTOCOL, `ovation.token.${moderatorToken}`]), silence, controlMessage),
  },
  {
    name: 'moderators’ socket, no good token',
    share: 2,
    ...overSocket(
      ({ viewerTokens }, random) => upgradeHead(pick(random, [`/control/${DOCUMENT}`, '/control/global', '/control/x']), [CONTROL_SUBPROTOCOL, ...pick(random, [[], ['ovation.token.a.b.c'], [`ovation.token.${viewerTokens[0]!}`]])]),
      silence,
      controlMessage,
    ),
  },
  { name: 'reading', share: 3, ...overHttp(({ port }) => port, query) },
  {
    name: 'console',
    share: 1,
    ...overHttp(({ port }) => port, (_target, random) => ({ head: `GET /console/${pick(random, FILES)} HTTP/1.1\r\nhost: ${pick(random, ['x', 'a b', '"', 'x:99999', '[::1]'])}\r\n` })),
  },
  {
    name: 'admin port',
    share: 1,
    ...overHttp(({ adminPort }) => adminPort, (_target, random) => ({
      head: `${pick(random, ['GET', 'POST', 'DELETE'])} ${pick(random, ['/livez', '/readyz', '/livez?x=%00', '/nowhere', '/%zz', '/metrics/../x', `/${'x'.repeat(5_000)}`])} HTTP/1.1\r\nhost: x\r\n`,
      body: pick(random, [new Uint8Array(0), new Uint8Array(0), randomBytes(random, 30), new Uint8Array(2_000)]),
    })),
  },
];
