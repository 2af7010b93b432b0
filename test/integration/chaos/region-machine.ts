/**
 * One region of a rig as an operator has it: a nats-server, and `ovation region` as a process of the build, both where the
 * network says. Each can be killed, paused and started again on its ports and data, and there can be a second process with the
 * same identity. Nothing outlives this process.
 */

import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, createWriteStream, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { NatsAddress } from '../../../regions/topology.ts';
import { startNatsServer, type NatsServer } from '../../../src/cli/dev/nats-server.ts';
import type { RegionReady } from '../../../src/cli/region.ts';
import { childEnvironment } from '../../../src/config.ts';
import { OVATION_COMMAND } from '../../support/region-command.ts';

export interface MachineOptions {
  readonly region: string;
  readonly address: string;
  readonly launcher: readonly string[];
  /** Configuration and logs. */
  readonly folder: string;
  /** The data of NATS: below `folder`, or a file system of its own. */
  readonly natsFolder: string;
  readonly databaseUrl: string;
  /** Of the nats-server and the region; free ones where these are not alone at their address. */
  readonly ports: { readonly nats: number; readonly api: number; readonly admin: number } | null;
}

const READY_MS_MAX = 120_000;
const STOP_MS_MAX = 30_000;

export class RegionMachine {
  readonly region: string;
  readonly nats: NatsServer;
  readonly #options: MachineOptions;
  readonly #topologyFile: string;
  #ports: RegionReady | null;
  #process: ChildProcess | null = null;
  #twin: ChildProcess | null = null;
  #hasCopy = false;

  private constructor(options: MachineOptions, nats: NatsServer) {
    this.region = options.region;
    this.nats = nats;
    this.#options = options;
    this.#topologyFile = path.join(options.folder, 'topology.json');
    this.#ports = options.ports === null ? null : { port: options.ports.api, adminPort: options.ports.admin };
  }

  /** With its NATS running, and no region yet. */
  static async create(options: MachineOptions): Promise<RegionMachine> {
    mkdirSync(options.folder, { recursive: true });
    const { region, address, launcher, natsFolder, ports } = options;
    const nats = await startNatsServer({ region, storeDir: natsFolder, host: address, launcher, ...(ports === null ? {} : { port: ports.nats }) });
    return new RegionMachine(options, nats);
  }

  get url(): string {
    return `http://${this.#options.address}:${this.#ports?.port}`;
  }

  get adminUrl(): string {
    return `http://${this.#options.address}:${this.#ports?.adminPort}`;
  }

  /** Undefined before its first start. */
  get pid(): number | undefined {
    return this.#process?.pid;
  }

  /** What an operator's script may be told. */
  get topologyFile(): string {
    return this.#topologyFile;
  }

  writeTopology(regions: ReadonlyMap<string, { readonly nats: NatsAddress; readonly peer: NatsAddress }>): void {
    writeFileSync(this.#topologyFile, JSON.stringify({ regions: Object.fromEntries(regions) }));
  }

  /** Resolves when it is ready. */
  async start(): Promise<void> {
    const { child, ready } = await this.#spawn(this.environment(), 'region.log');
    this.#process = child;
    this.#ports = ready;
  }

  /** SIGKILL, and its end. */
  async kill(): Promise<void> {
    await end(this.#process, 'SIGKILL');
  }

  /** Resolves with its exit code, once it has ended by itself; null when a signal ended it. */
  async ended(): Promise<number | null> {
    return untilEnded(this.#process!);
  }

  pause(): void {
    this.#process?.kill('SIGSTOP');
  }

  resume(): void {
    this.#process?.kill('SIGCONT');
  }

  /** A second process of the same identity, on ports of its own. */
  async startTwin(): Promise<void> {
    const { child } = await this.#spawn({ ...this.environment(), OVATION_PORT: '0', OVATION_ADMIN_PORT: '0' }, 'twin.log');
    this.#twin = child;
  }

  async killTwin(): Promise<void> {
    await end(this.#twin, 'SIGKILL');
  }

  /** Of the data of its NATS, as a backup takes it: from a server that has stopped for that long. */
  async copyNatsData(): Promise<void> {
    await this.nats.stop();
    cpSync(this.#data, this.#copy, { recursive: true });
    this.#hasCopy = true;
    await this.nats.restart();
  }

  /** Kills the server; what it has is gone, or is the copy again. It is not started. */
  async loseNatsData(put: 'nothing' | 'copy'): Promise<void> {
    await this.nats.kill();
    rmSync(this.#data, { recursive: true, force: true });
    if (put === 'copy' && this.#hasCopy) cpSync(this.#copy, this.#data, { recursive: true });
  }

  async stop(): Promise<void> {
    for (const child of [this.#twin, this.#process]) {
      child?.kill('SIGCONT');
      await end(child, 'SIGTERM');
    }
    await this.nats.stop();
  }

  environment(): Record<string, string> {
    const { region, address, databaseUrl } = this.#options;
    return {
      OVATION_REGION: region,
      OVATION_TOPOLOGY: this.#topologyFile,
      OVATION_HOST: address,
      OVATION_PORT: String(this.#ports?.port ?? 0),
      OVATION_ADMIN_PORT: String(this.#ports?.adminPort ?? 0),
      OVATION_DATABASE_URL: databaseUrl,
      OVATION_DRAIN_SECONDS: '0',
      OVATION_LOG_LEVEL: 'warn',
    };
  }

  get #data(): string {
    return path.join(this.#options.natsFolder, 'jetstream');
  }

  get #copy(): string {
    return path.join(this.#options.folder, 'jetstream-copy');
  }

  async #spawn(environment: Readonly<Record<string, string>>, logFile: string): Promise<{ readonly child: ChildProcess; readonly ready: RegionReady }> {
    const [program, ...words] = [...this.#options.launcher, process.execPath, OVATION_COMMAND, 'region'];
    const child = spawn(program!, words, {
      env: childEnvironment(environment) as NodeJS.ProcessEnv,
      // A group of its own: Ctrl-C reaches whoever runs the rig, who then stops all in order.
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    });
    const log = createWriteStream(path.join(this.#options.folder, logFile), { flags: 'a' });
    let lastWords = '';
    for (const stream of [child.stdout!, child.stderr!]) {
      stream.on('data', (chunk: Buffer) => {
        lastWords = (lastWords + chunk.toString()).slice(-2_000);
        log.write(chunk);
      });
    }
    const early = untilEnded(child).then((code) => {
      throw new Error(`region ${this.region} ended with ${code} before it was ready: ${lastWords}`);
    });
    early.catch(() => {});
    const late = AbortSignal.timeout(READY_MS_MAX);
    try {
      const [{ ready }] = (await Promise.race([once(child, 'message', { signal: late }), early])) as [{ readonly ready: RegionReady }];
      return { child, ready };
    } catch (error) {
      await end(child, 'SIGKILL');
      throw late.aborted ? new Error(`region ${this.region} was not ready within ${READY_MS_MAX / 1000} s: ${lastWords}`) : error;
    }
  }
}

/** Sends a signal, and SIGKILL to who does not end in time. Nothing to one that has ended. */
async function end(child: ChildProcess | null, signal: NodeJS.Signals): Promise<void> {
  if (child === null) return;
  const ended = untilEnded(child);
  child.kill(signal);
  const forced = setTimeout(() => child.kill('SIGKILL'), STOP_MS_MAX);
  await ended;
  clearTimeout(forced);
}

async function untilEnded(child: ChildProcess): Promise<number | null> {
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  return child.exitCode;
}
