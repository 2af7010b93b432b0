/**
 * A breakable link: a TCP proxy that can be cut, cut one way, slowed, made lossy and healed while connections
 * run through it.
 *
 * A cut is a blackhole, as when a cable is pulled: bytes stop both ways, nobody is told, new connections
 * are accepted and hear nothing. After a heal the connections that still live go on where they were, as
 * TCP would after its retransmissions. A link that is cut one way is the same for the bytes of that way, and
 * new connections hear nothing. A delay keeps the order of bytes. A lossy link does to bytes what losing packets
 * does to TCP: they wait for the retransmission, and all behind them too. Buffers are bounded: a source whose
 * bytes cannot be handed on is paused.
 */

import { connect, createServer, type Server, type Socket } from 'node:net';

export interface LinkProxyOptions {
  /** Default: 127.0.0.1. */
  readonly listenHost?: string;
  /** Default: a free one. */
  readonly listenPort?: number;
  readonly targetHost: string;
  readonly targetPort: number;
  /** From 0 to below 1: what is lost. Default: nothing is. */
  readonly random?: () => number;
}

/** `mute`: what the client sends is lost; `deaf`: what it should hear. */
type LinkState = 'open' | 'cut' | 'mute' | 'deaf';

export interface LinkProxy {
  readonly port: number;
  readonly connections: number;
  cut(): void;
  /** Loses one way only. */
  silence(state: 'mute' | 'deaf'): void;
  /** Undoes a cut of either kind; delay and loss stay. */
  heal(): void;
  /** Loses this share of what passes, from 0 to below 1, each way. */
  lose(share: number): void;
  /** Holds bytes back for this long, each way: a round trip takes twice as much longer. */
  delay(delayMs: number): void;
  close(): Promise<void>;
}

const BUFFER_BYTES_MAX = 4 * 1024 * 1024;
const CONNECTIONS_MAX = 1_024;
/** As Linux does it: 200 ms, and twice as long for each loss of the same bytes. */
const RETRANSMISSION_MS = 200;
const RETRANSMISSIONS_MAX = 5;

/** Rejects with the error of `listen`, such as `EADDRINUSE`. */
export function startLinkProxy(options: LinkProxyOptions): Promise<LinkProxy> {
  return new Promise((resolve, reject) => {
    const proxy = new TcpLinkProxy(options);
    proxy.server.once('error', reject);
    proxy.server.listen(options.listenPort ?? 0, options.listenHost ?? '127.0.0.1', () => {
      proxy.server.off('error', reject);
      resolve(proxy);
    });
  });
}

class TcpLinkProxy implements LinkProxy {
  readonly server: Server;
  state: LinkState = 'open';
  delayMs = 0;
  #loss = 0;
  readonly #options: LinkProxyOptions;
  readonly #connections = new Set<Connection>();

  constructor(options: LinkProxyOptions) {
    this.#options = options;
    this.server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => this.#accept(client));
  }

  get port(): number {
    const address = this.server.address();
    return typeof address === 'object' && address !== null ? address.port : 0;
  }

  get connections(): number {
    return this.#connections.size;
  }

  cut(): void {
    this.state = 'cut';
  }

  silence(state: 'mute' | 'deaf'): void {
    this.state = state;
    for (const connection of this.#connections) connection.resume();
  }

  heal(): void {
    this.state = 'open';
    for (const connection of this.#connections) connection.resume();
  }

  delay(delayMs: number): void {
    this.delayMs = delayMs;
  }

  lose(share: number): void {
    this.#loss = share;
  }

  /** How long bytes that come now are held. */
  holdMs(): number {
    const { random = () => 1 } = this.#options;
    let holdMs = this.delayMs;
    let lost = 0;
    while (lost < RETRANSMISSIONS_MAX && random() < this.#loss) holdMs += RETRANSMISSION_MS * 2 ** lost++;
    return holdMs;
  }

  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.server.close(() => resolve()));
    for (const connection of this.#connections) connection.destroy();
    await closed;
  }

  #accept(client: Socket): void {
    if (this.#connections.size >= CONNECTIONS_MAX) {
      client.destroy();
      return;
    }
    const connection = new Connection(this, client, this.#options, () => this.#connections.delete(connection));
    this.#connections.add(connection);
    connection.resume();
  }
}

/** A client's connection and, once the link was open, the one to the target. */
class Connection {
  readonly #link: TcpLinkProxy;
  readonly #client: Socket;
  readonly #options: LinkProxyOptions;
  readonly #ended: () => void;
  readonly #upward: Direction;
  #target: Socket | null = null;
  #downward: Direction | null = null;
  #broken = false;

  constructor(link: TcpLinkProxy, client: Socket, options: LinkProxyOptions, ended: () => void) {
    this.#link = link;
    this.#client = client;
    this.#options = options;
    this.#ended = ended;
    this.#upward = new Direction(link, client, 'mute');
    this.#watch(client);
    // Who gives up behind a cut before the target knew of it was never there.
    client.on('end', () => {
      if (this.#target === null) this.destroy();
    });
  }

  /** Does what the link's state allows: connects, hands on what is due, passes on a lost connection. */
  resume(): void {
    if (this.#link.state === 'cut') return;
    if (this.#broken && this.#link.state === 'open') return this.destroy();
    if (this.#target === null) {
      // A handshake needs both ways.
      if (this.#link.state !== 'open') return;
      this.#target = connect({ host: this.#options.targetHost, port: this.#options.targetPort, allowHalfOpen: true, noDelay: true });
      this.#watch(this.#target);
      this.#upward.to(this.#target);
      this.#downward = new Direction(this.#link, this.#target, 'deaf');
      this.#downward.to(this.#client);
    }
    this.#upward.pump();
    this.#downward?.pump();
  }

  destroy(): void {
    this.#upward.stop();
    this.#downward?.stop();
    this.#client.destroy();
    this.#target?.destroy();
    this.#ended();
  }

  #watch(socket: Socket): void {
    socket.on('error', () => {
      this.#broken = true;
    });
    socket.on('close', () => {
      this.#broken = true;
      // Behind a cut the other end must not learn of it; without another end there is nobody to tell.
      if (this.#link.state === 'open' || this.#target === null || (this.#client.destroyed && this.#target.destroyed)) this.destroy();
    });
  }
}

interface Held {
  /** Null stands for the end of the stream. */
  readonly bytes: Buffer | null;
  readonly dueAt: number;
}

/** The bytes of one way: read as they come, held until due, written in order. */
class Direction {
  readonly #link: TcpLinkProxy;
  readonly #source: Socket;
  /** The state in which this way alone is lost. */
  readonly #lostWhen: LinkState;
  #target: Socket | null = null;
  #held: Held[] = [];
  #heldBytes = 0;
  #blocked = false;
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;

  constructor(link: TcpLinkProxy, source: Socket, lostWhen: LinkState) {
    this.#link = link;
    this.#source = source;
    this.#lostWhen = lostWhen;
    source.on('data', (bytes: Buffer) => this.#hold(bytes));
    source.on('end', () => this.#hold(null));
  }

  to(target: Socket): void {
    this.#target = target;
    target.on('drain', () => {
      this.#blocked = false;
      this.pump();
    });
  }

  pump(): void {
    clearTimeout(this.#timer);
    const target = this.#target;
    if (this.#stopped || target === null || this.#link.state === 'cut' || this.#link.state === this.#lostWhen) return;
    while (!this.#blocked) {
      const next = this.#held[0];
      if (next === undefined) break;
      const waitMs = next.dueAt - performance.now();
      if (waitMs > 0) {
        this.#timer = setTimeout(() => this.pump(), waitMs);
        break;
      }
      this.#held.shift();
      if (next.bytes === null) {
        target.end();
        continue;
      }
      this.#heldBytes -= next.bytes.length;
      this.#blocked = !target.write(next.bytes);
    }
    if (this.#heldBytes < BUFFER_BYTES_MAX / 2 && this.#source.isPaused()) this.#source.resume();
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
    this.#held = [];
  }

  #hold(bytes: Buffer | null): void {
    // A delay that was shortened must not let later bytes overtake.
    const dueAt = Math.max(performance.now() + this.#link.holdMs(), this.#held.at(-1)?.dueAt ?? 0);
    this.#held.push({ bytes, dueAt });
    this.#heldBytes += bytes?.length ?? 0;
    if (this.#heldBytes >= BUFFER_BYTES_MAX) this.#source.pause();
    this.pump();
  }
}
