/** How a surface is attacked: each attack is a connection on which mutated messages are sent, and says what became of them. */

import type { AnswerBooks } from './answer-books.ts';
import { BareConnection, type HttpAnswer } from './bare-connection.ts';
import { upTo, type Random } from './mutations.ts';

export interface Target {
  readonly port: number;
  readonly adminPort: number;
  /** Good tokens for the stream that is attacked, of the viewers `hostile-0`, `hostile-1`, … */
  readonly viewerTokens: readonly string[];
  /** A good token for the document that is attacked. */
  readonly moderatorToken: string;
}

/** What was answered, and how often. */
export type Answers = Map<string, number>;

/** Waits until so many messages may be sent. */
export type Pace = (messages: number) => Promise<void>;

export interface Attacker {
  readonly target: Target;
  readonly random: Random;
  readonly pace: Pace;
  /** What its process knows of the taps that count. */
  readonly books: AnswerBooks;
  /** One of the sessions that its process has, and few enough that numbers are often used again. */
  readonly session: () => string;
}

export interface Attack {
  /** Messages of one attack at most. */
  readonly atOnceMax: number;
  /** Sends so many messages at most, and answers how many it sent. */
  attack(attacker: Attacker, messages: number, answers: Answers): Promise<number>;
}

/** How long a socket may be silent until it is taken for one that stays open. */
const SILENT_MS = 150;
/** How long who has perhaps not sent a whole request waits for an answer. */
const PATIENCE_MS = 1_000;
const PER_CONNECTION = 40;
/** The first that is malformed ends a socket, and what comes after it is not looked at. */
const PER_SOCKET = 8;

function note(answers: Answers, answer: string): void {
  answers.set(answer, (answers.get(answer) ?? 0) + 1);
}

/** Whether an answer is a fault that a message has found. 503 is none: the region says that it has enough. */
export function isFault(answer: string): boolean {
  return /^http (?:0|5|cut$|silent$)/.test(answer) ? answer !== 'http 503' : /^socket (?:cut|1011)$/.test(answer);
}

export interface HttpMessage {
  readonly head: string;
  readonly body?: Uint8Array;
}

/** Requests one after the other on a connection, each after the answer to the one before. */
export function overHttp(
  portOf: (target: Target) => number,
  make: (attacker: Attacker) => HttpMessage,
  learn: (attacker: Attacker, body: Uint8Array, answer: HttpAnswer) => void = () => {},
): Attack {
  const attack: Attack['attack'] = async (attacker, messages, answers) => {
    const connection = await BareConnection.open(portOf(attacker.target));
    let sent = 0;
    while (sent < messages && !connection.isEnded) {
      const { head, body = new Uint8Array(0) } = make(attacker);
      await attacker.pace(1);
      connection.write(Buffer.concat([Buffer.from(`${head}content-length: ${body.length}\r\n\r\n`, 'latin1'), body]));
      sent += 1;
      const answer = await connection.answer();
      note(answers, `http ${answer.status}`);
      learn(attacker, body, answer);
    }
    connection.close();
    return sent;
  };
  return { atOnceMax: PER_CONNECTION, attack };
}

/** What a connection says, all at once, after a good upgrade; and what is made of the answers to it. */
interface Speech {
  readonly upgrade: string;
  readonly bytes: Uint8Array;
  /** Is given every message of the region. */
  readonly hear?: (payload: Buffer) => void;
  readonly end?: () => void;
}

export function overSocket(speechOf: (attacker: Attacker, messages: number) => Speech): Attack {
  const attack: Attack['attack'] = async (attacker, messages, answers) => {
    const count = Math.min(messages, 1 + upTo(attacker.random, PER_SOCKET));
    await attacker.pace(count);
    const { upgrade, bytes, hear = () => {}, end = () => {} } = speechOf(attacker, count);
    const connection = await BareConnection.open(attacker.target.port);
    connection.write(upgrade);
    const { status } = await connection.answer();
    if (status !== 101) {
      note(answers, `http ${status}`);
      connection.close();
      return 1;
    }
    connection.write(bytes);
    note(answers, `socket ${await connection.ending(SILENT_MS, (payload) => (hear(payload), false))}`);
    connection.close();
    end();
    return count;
  };
  return { atOnceMax: PER_SOCKET, attack };
}

/** One message a connection; who is not answered soon leaves. */
export function overHead(make: (random: Random) => string): Attack {
  const attack: Attack['attack'] = async ({ target, random, pace }, _messages, answers) => {
    await pace(1);
    const connection = await BareConnection.open(target.port);
    const text = make(random);
    connection.write(Buffer.from(text, 'latin1'));
    const { status } = await connection.answer(PATIENCE_MS, !text.startsWith('HEAD'));
    // Node ends a connection that asks for a tunnel, as nobody here makes one.
    note(answers, status === 'silent' ? 'left waiting' : status === 'cut' && text.startsWith('CONNECT') ? 'no tunnel' : `http ${status}`);
    connection.close();
    return 1;
  };
  return { atOnceMax: 1, attack };
}
