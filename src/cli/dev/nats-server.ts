/**
 * A nats-server as a child process: one region's own, with JetStream in a folder.
 *
 * Promises: `startNatsServer` resolves when JetStream answers; `kill` and `restart` keep port and
 * folder, so that crashes can be tried; no server outlives this process, however it ends. Ctrl-C does
 * not reach the server (it has a process group of its own): whoever started it stops it, in order.
 */

import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { connectNats } from '../../../regions/nats-connection.ts';
import { logStream } from '../../../regions/nats-log.ts';
import type { NatsAddress } from '../../../regions/topology.ts';
import { startGuard } from './guard.ts';
import { findFreePort } from './ports.ts';

export interface NatsServerOptions {
  readonly region: string;
  /** Where streams and the configuration are kept; created when missing. */
  readonly storeDir: string;
  /** Default: a free one. */
  readonly port?: number;
  /** Passwords of the users `region` and `peer`. Default: random ones. */
  readonly passwords?: { readonly region: string; readonly peer: string };
  /** The address to listen on. Default: 127.0.0.1. */
  readonly host?: string;
  /** A command that runs the server elsewhere and becomes it, such as `ip netns exec us`. Default: none. */
  readonly launcher?: readonly string[];
}

type CompleteOptions = Required<NatsServerOptions>;

export interface NatsServer {
  readonly port: number;
  readonly version: string;
  readonly storeDir: string;
  /** For the region itself: all rights. */
  readonly address: NatsAddress;
  /** For its peers: may read the region's log and nothing else. */
  readonly peerAddress: NatsAddress;
  /** Undefined while it is not running. */
  readonly pid: number | undefined;
  /** Resolves when the running process has ended. */
  readonly exited: Promise<void>;
  /** The last lines that the server wrote. */
  readonly output: string;
  /** SIGTERM, and SIGKILL after 5 s. */
  stop(): Promise<void>;
  /** SIGKILL. */
  kill(): Promise<void>;
  /** Starts it again on the same port and folder, when it is not running. */
  restart(): Promise<void>;
}

/** The server could not be started. The message has the reason and the server's last lines. */
export class NatsServerFailed extends Error {
  override readonly name = 'NatsServerFailed';
}

export interface NatsBinary {
  readonly path: string;
  readonly version: string;
}

/** Debian installs it where only root's PATH leads. */
const PLACES = ['nats-server', '/usr/sbin/nats-server', '/usr/local/sbin/nats-server', '/usr/local/bin/nats-server'];
/** 2.9.10 takes about 5 s to answer after a SIGKILL, more with a large log on a busy machine. */
const READY_MS_MAX = 30_000;
const STOP_MS_MAX = 5_000;
const OUTPUT_CHARACTERS_MAX = 8_192;
const PORT_ATTEMPTS_MAX = 5;

/** Null when there is none. */
export function findNatsServer(): NatsBinary | null {
  for (const place of PLACES) {
    const { stdout, status } = spawnSync(place, ['--version'], { encoding: 'utf8', timeout: 10_000 });
    const version = status === 0 ? /v(\d+\.\d+\.\d+)/.exec(stdout)?.[1] : undefined;
    if (version !== undefined) return { path: place, version };
  }
  return null;
}

/** The configuration for one region's server, in the words that this version knows. */
export function natsServerConfig(version: string, options: NatsServerOptions & Pick<CompleteOptions, 'port' | 'passwords'>): string {
  const stream = logStream(options.region);
  const api = '$JS.API';
  const readOneStream = [
    `${api}.STREAM.INFO.${stream}`,
    `${api}.STREAM.MSG.GET.${stream}`,
    `${api}.CONSUMER.CREATE.${stream}`,
    `${api}.CONSUMER.CREATE.${stream}.>`,
    `${api}.CONSUMER.INFO.${stream}.*`,
    `${api}.CONSUMER.MSG.NEXT.${stream}.*`,
    `${api}.CONSUMER.DELETE.${stream}.*`,
  ];
  const text = (value: unknown): string => JSON.stringify(value);
  return `server_name: ${text(`ovation-${options.region}`)}
listen: ${text(`${options.host ?? '127.0.0.1'}:${options.port}`)}
max_payload: 8MB
ping_interval: "5s"
ping_max: 2
jetstream {
  store_dir: ${text(path.join(options.storeDir, 'jetstream'))}
  max_mem: 64MB
  max_file: 64GB
${knowsSyncInterval(version) ? '  sync_interval: "1s"\n' : ''}}
authorization { users: [
  { user: "region", password: ${text(options.passwords.region)} }
  { user: "peer", password: ${text(options.passwords.peer)}, permissions: {
    publish: ${text(readOneStream)}
    subscribe: ["_INBOX.>"] } }
] }
`;
}

/** @throws NatsServerFailed */
export async function startNatsServer(options: NatsServerOptions, binary = findNatsServer()): Promise<NatsServer> {
  if (binary === null) throw new NatsServerFailed('no nats-server binary found; on Debian: apt-get install nats-server');
  const { host = '127.0.0.1', launcher = [], passwords = { region: randomPassword(), peer: randomPassword() } } = options;
  for (let attempt = 1; ; attempt += 1) {
    const port = options.port ?? (await findFreePort());
    const server = new LocalNatsServer(binary, { ...options, host, port, passwords, launcher });
    try {
      await server.restart();
      return server;
    } catch (error) {
      // Somebody else took the free port in between.
      const taken = options.port === undefined && server.output.includes('address already in use');
      if (!taken || attempt === PORT_ATTEMPTS_MAX) throw error;
    }
  }
}

class LocalNatsServer implements NatsServer {
  readonly port: number;
  readonly version: string;
  readonly storeDir: string;
  readonly address: NatsAddress;
  readonly peerAddress: NatsAddress;
  exited: Promise<void> = Promise.resolve();
  output = '';
  readonly #binary: NatsBinary;
  readonly #options: CompleteOptions;
  #child: ChildProcess | undefined;

  constructor(binary: NatsBinary, options: CompleteOptions) {
    this.#binary = binary;
    this.#options = options;
    this.port = options.port;
    this.version = binary.version;
    this.storeDir = options.storeDir;
    const url = `nats://${options.host}:${options.port}`;
    this.address = { url, user: 'region', password: options.passwords.region };
    this.peerAddress = { url, user: 'peer', password: options.passwords.peer };
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  async restart(): Promise<void> {
    if (this.#child !== undefined) throw new NatsServerFailed(`the nats-server of ${this.#options.region} runs already`);
    mkdirSync(this.storeDir, { recursive: true });
    const configFile = path.join(this.storeDir, 'nats-server.conf');
    writeFileSync(configFile, natsServerConfig(this.version, this.#options), { mode: 0o600 });
    this.output = '';
    const [program, ...words] = [...this.#options.launcher, this.#binary.path, '-c', configFile];
    const child = spawn(program!, words, { stdio: ['ignore', 'ignore', 'pipe'], detached: true });
    this.#child = child;
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.output = (this.output + text).slice(-OUTPUT_CHARACTERS_MAX);
    });
    const guard = child.pid === undefined ? undefined : startGuard(child.pid);
    this.exited = new Promise((resolve) => {
      const end = (): void => {
        if (this.#child === child) this.#child = undefined;
        guard?.kill('SIGKILL');
        resolve();
      };
      child.once('exit', end);
      child.once('error', end);
    });
    await this.#ready(child);
  }

  async stop(): Promise<void> {
    const child = this.#child;
    if (child === undefined) return;
    child.kill('SIGTERM');
    const forced = setTimeout(() => child.kill('SIGKILL'), STOP_MS_MAX);
    await this.exited;
    clearTimeout(forced);
  }

  async kill(): Promise<void> {
    this.#child?.kill('SIGKILL');
    await this.exited;
  }

  async #ready(child: ChildProcess): Promise<void> {
    const deadline = performance.now() + READY_MS_MAX;
    let reason = 'it ended';
    while (this.#child === child && performance.now() < deadline) {
      try {
        const nats = await connectNats(this.address, 'ready?');
        try {
          await nats.streamState(logStream(this.#options.region));
          return;
        } finally {
          await nats.close();
        }
      } catch (error) {
        reason = (error as Error).message;
        await sleep(50);
      }
    }
    await this.kill();
    throw new NatsServerFailed(`nats-server on port ${this.port}: ${reason}\n${this.output}`);
  }
}

function knowsSyncInterval(version: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  return major > 2 || (major === 2 && minor >= 10);
}

function randomPassword(): string {
  return randomBytes(18).toString('base64url');
}
