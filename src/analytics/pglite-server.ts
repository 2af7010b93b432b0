/**
 * PGlite behind a PostgreSQL socket: the database of demonstrations, for machines without a server.
 *
 * Meant for a process of its own: it takes some 800 MB, and a query blocks everything else in it. Not
 * durable: it does not wait for the disk. A data folder is locked for one process, because PGlite
 * itself would let a second one write over the first (WIN-14).
 */

import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import path from 'node:path';
import { PGlite } from '@electric-sql/pglite';
import { PGLiteSocketHandler, type PGLiteSocketHandlerOptions } from '@electric-sql/pglite-socket';
import type { Runtime } from '../../regions/runtime.ts';
import { lockFolder } from './folder-lock.ts';
import { Turns } from './pglite-turns.ts';

const HOST = '127.0.0.1';
const CONNECTIONS_MAX = 64;
/** How long a client may keep its transaction open without a word, while all others wait. */
const HOLD_MS_MAX = 10_000;

export interface PgliteServerOptions {
  /** Null keeps the data in memory. */
  readonly dataDir: string | null;
  /** 0 picks a free one. */
  readonly port: number;
  readonly runtime: Pick<Runtime, 'timers'>;
  readonly holdMsMax?: number;
}

export interface PgliteServer {
  /** For `pg`, `psql` and `OVATION_DATABASE_URL`. */
  readonly url: string;
  readonly port: number;
  /** Ends connections, writes what is pending, unlocks the folder. */
  stop(): Promise<void>;
}

/** @throws FolderInUse */
export async function startPgliteServer({ dataDir, port, runtime, holdMsMax }: PgliteServerOptions): Promise<PgliteServer> {
  const unlock = dataDir === null ? async () => {} : await lockFolder(dataDir);
  let database: PGlite | undefined;
  try {
    database = await PGlite.create(dataDir === null ? {} : { dataDir: path.join(dataDir, 'pgdata') });
    const clients = new Clients(database, runtime, holdMsMax ?? HOLD_MS_MAX);
    const server = createServer((socket) => clients.add(socket));
    server.maxConnections = CONNECTIONS_MAX;
    await listen(server, port);
    const listening = (server.address() as AddressInfo).port;
    return {
      url: `postgres://postgres@${HOST}:${listening}/postgres`,
      port: listening,
      stop: once(async () => {
        const closed = new Promise((resolve) => server.close(resolve));
        await clients.close();
        await closed;
        await database?.close();
        await unlock();
      }),
    };
  } catch (error) {
    await database?.close();
    await unlock();
    throw error;
  }
}

class Clients {
  readonly #turns: Turns;
  readonly #handlers = new Map<number, PGLiteSocketHandler>();

  constructor(database: PGlite, { timers }: Pick<Runtime, 'timers'>, holdMsMax: number) {
    this.#turns = new Turns(database, timers, holdMsMax, (handler) => this.#dismiss(handler));
  }

  add(socket: Socket): void {
    // The handler frames the protocol; it only ever calls the methods of its queue that Turns has.
    const queryQueue = this.#turns as unknown as PGLiteSocketHandlerOptions['queryQueue'];
    const handler = new PGLiteSocketHandler({ queryQueue, closeOnDetach: true });
    this.#handlers.set(handler.handlerId, handler);
    for (const event of ['close', 'error']) {
      handler.addEventListener(event, () => this.#handlers.delete(handler.handlerId));
    }
    void handler.attach(socket);
  }

  #dismiss(id: number): void {
    void this.#handlers.get(id)?.detach(true);
    this.#handlers.delete(id);
  }

  async close(): Promise<void> {
    await Promise.all([...this.#handlers.values()].map((handler) => handler.detach(true)));
  }
}

function listen(server: Server, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, HOST, resolve);
  });
}

function once(action: () => Promise<void>): () => Promise<void> {
  let result: Promise<void> | undefined;
  return () => (result ??= action());
}
