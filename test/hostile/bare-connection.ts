/** A bare TCP connection of a hostile client: it writes whatever it likes, and reads answers just enough to name them. */

import { once } from 'node:events';
import net from 'node:net';
import { OPCODES } from './websocket-bytes.ts';

export interface HttpAnswer {
  /** `cut` when the connection ended without an answer, `silent` when nothing came in time. */
  readonly status: number | 'cut' | 'silent';
  readonly body: Buffer;
}

const ANSWER_MS_MAX = 15_000;
const NOTHING = Buffer.alloc(0);

export class BareConnection {
  readonly #socket: net.Socket;
  #bytes: Buffer = Buffer.alloc(0);
  #isEnded = false;
  #isLastAnswer = false;
  #wake: () => void = () => {};

  private constructor(socket: net.Socket) {
    this.#socket = socket;
    const end = (): void => {
      this.#isEnded = true;
      this.#wake();
    };
    socket.on('data', (chunk) => {
      this.#bytes = Buffer.concat([this.#bytes, chunk]);
      this.#wake();
    });
    socket.on('error', end);
    socket.on('close', end);
  }

  /** @throws when nobody listens */
  static async open(port: number): Promise<BareConnection> {
    const socket = net.connect({ port, host: '127.0.0.1', noDelay: true });
    await once(socket, 'connect');
    return new BareConnection(socket);
  }

  /** True also when the other side has said that it ends. */
  get isEnded(): boolean {
    return this.#isEnded || this.#isLastAnswer;
  }

  write(bytes: Uint8Array | string): void {
    if (!this.#isEnded) this.#socket.write(bytes);
  }

  close(): void {
    this.#socket.destroy();
  }

  /** The next answer over HTTP, which is taken; to a HEAD it comes without the body that it tells of. */
  async answer(waitMs = ANSWER_MS_MAX, hasBody = true): Promise<HttpAnswer> {
    const deadline = performance.now() + waitMs;
    for (;;) {
      const end = this.#bytes.indexOf('\r\n\r\n');
      if (end >= 0) {
        const head = this.#bytes.subarray(0, end).toString('latin1');
        const status = Number(/^HTTP\/1\.1 (\d{3})/.exec(head)?.[1] ?? 0);
        const length = !hasBody || status === 101 || status === 204 ? 0 : Number(/^content-length: (\d+)$/im.exec(head)?.[1] ?? Infinity);
        if (/^connection: close$/im.test(head)) this.#isLastAnswer = true;
        if (this.#bytes.length >= end + 4 + length || (length === Infinity && this.#isEnded)) {
          const body = this.#bytes.subarray(end + 4, end + 4 + length);
          this.#bytes = this.#bytes.subarray(Math.min(this.#bytes.length, end + 4 + length));
          return { status, body };
        }
      }
      if (this.#isEnded) return { status: 'cut', body: NOTHING };
      if (!(await this.#more(deadline))) return { status: 'silent', body: NOTHING };
    }
  }

  /**
   * What a WebSocket says until it ends, or has been silent for a while: its close code, `cut` when it ended without one, or
   * `open`; `heard` as soon as `hear`, which is given its messages, answers true.
   */
  async ending(silentMs: number, hear: (payload: Buffer, isBinary: boolean) => boolean = () => false): Promise<string> {
    for (;;) {
      for (;;) {
        const short = this.#bytes.length < 2 ? 127 : this.#bytes[1]! & 0x7f;
        const head = short < 126 ? 2 : 4;
        if (short === 127 || this.#bytes.length < head) break;
        const length = short < 126 ? short : this.#bytes.readUInt16BE(2);
        if (this.#bytes.length < head + length) break;
        const opcode = this.#bytes[0]! & 0x0f;
        const payload = this.#bytes.subarray(head, head + length);
        this.#bytes = this.#bytes.subarray(head + length);
        if (opcode === OPCODES.close) return length < 2 ? '1005' : String(payload.readUInt16BE(0));
        if (opcode <= OPCODES.binary && hear(payload, opcode === OPCODES.binary)) return 'heard';
      }
      if (this.#isEnded) return 'cut';
      if (!(await this.#more(performance.now() + silentMs))) return 'open';
    }
  }

  /** False when nothing came before the deadline. */
  async #more(deadline: number): Promise<boolean> {
    const before = this.#bytes.length;
    let timer: NodeJS.Timeout | undefined;
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
      timer = setTimeout(resolve, Math.max(0, deadline - performance.now()));
    });
    clearTimeout(timer);
    return this.#bytes.length !== before || this.#isEnded;
  }
}
