/**
 * One region of a rig as an operator has it: a nats-server, and `ovation region` as a process of the build, both where the
 * network says. Each can be killed, paused and started again on its ports and data, and there can be a second process with the
 * same identity. Nothing outlives this process.
 */

import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, createWriteStream, existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
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

/** How a process is started otherwise than by default. */
export interface StartOptions {
  /** By how much its clock is wrong, as `faketime` has it: `+10m`. */
  readonly clock?: string;
}

export interface Ending {
  /** Null when a signal ended it. */
  readonly code: number | null;
  readonly lastWords: string;
}

/** A process with the end of what it has written. */
interface RegionProcess {
  readonly child: ChildProcess;
  readonly words: { readonly last: string };
}

const LAST_WORDS_MAX = 2_000;
const READY_MS_MAX = 120_000;
const STOP_MS_MAX = 30_000;
/** A region that was told to stop, or that it is fenced, ends within this time, on a busy machine too. */
const ENDED_MS_MAX = 45_000;
/** Debian's package `faketime`, for programs with threads. */
const FAKETIME_LIBRARY = ['x86_64-linux-gnu', 'aarch64-linux-gnu']
  .map((machine) => `/usr/lib/${machine}/faketime/libfaketimeMT.so.1`)
  .find((file) => existsSync(file));

export const faketimeAvailable = FAKETIME_LIBRARY !== undefined;

export class RegionMachine {
  readonly region: string;
  readonly nats: NatsServer;
  readonly #options: MachineOptions;
  readonly #topologyFile: string;
  #ports: RegionReady | null;
  #process: RegionProcess | null = null;
  #twin: RegionProcess | null = null;
  /** Where the second process serves, for as long as it is the one that does. */
  #twinPorts: RegionReady | null = null;
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

  /** Of the first process, whoever serves. */
  get url(): string {
    return `http://${this.#options.address}:${this.#ports?.port}`;
  }

  get adminUrl(): string {
    return `http://${this.#options.address}:${this.#ports?.adminPort}`;
  }

  /** Where a load balancer would lead viewers now: to the second process while it has taken over. */
  get servingUrl(): string {
    return this.#twinPorts === null ? this.url : `http://${this.#options.address}:${this.#twinPorts.port}`;
  }

  get servingAdminUrl(): string {
    return this.#twinPorts === null ? this.adminUrl : `http://${this.#options.address}:${this.#twinPorts.adminPort}`;
  }

  /** Undefined before its first start. */
  get pid(): number | undefined {
    return this.#process?.child.pid;
  }

  /** What an operator's script may be told. */
  get topologyFile(): string {
    return this.#topologyFile;
  }

  writeTopology(regions: ReadonlyMap<string, { readonly nats: NatsAddress; readonly peer: NatsAddress }>): void {
    writeFileSync(this.#topologyFile, JSON.stringify({ regions: Object.fromEntries(regions) }));
  }

  /** Resolves when it is ready. */
  async start(options: StartOptions = {}): Promise<void> {
    const { process: started, ready } = await this.#spawn(this.environment(), 'region.log', options);
    this.#process = started;
    this.#ports = ready;
    this.#twinPorts = null;
  }

  /** SIGKILL, and its end. */
  async kill(): Promise<void> {
    await end(this.#process, 'SIGKILL');
  }

  /** SIGTERM, as a deployment does it. @throws when it does not end well, and in time */
  async leave(): Promise<void> {
    const leaving = this.ended();
    this.#process?.child.kill('SIGTERM');
    const { code, lastWords } = await leaving;
    if (code !== 0) throw new Error(`region ${this.region} was told to stop, and ended with ${code}: ${lastWords}`);
  }

  /** Resolves once it has ended by itself. @throws when it does not in time */
  async ended(): Promise<Ending> {
    const { child, words } = this.#process!;
    const late = AbortSignal.timeout(ENDED_MS_MAX);
    const code = await Promise.race([untilEnded(child), once(late, 'abort').then(() => 'late' as const)]);
    if (code === 'late') throw new Error(`region ${this.region} did not end within ${ENDED_MS_MAX / 1000} s: ${words.last}`);
    return { code, lastWords: words.last };
  }

  pause(): void {
    this.#process?.child.kill('SIGSTOP');
  }

  resume(): void {
    this.#process?.child.kill('SIGCONT');
  }

  /** A second process of the same identity, on ports of its own; it serves from then on. */
  async startTwin(): Promise<void> {
    const { process: started, ready } = await this.#spawn({ ...this.environment(), OVATION_PORT: '0', OVATION_ADMIN_PORT: '0' }, 'twin.log', {});
    this.#twin = started;
    this.#twinPorts = ready;
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
    for (const started of [this.#twin, this.#process]) {
      started?.child.kill('SIGCONT');
      await end(started, 'SIGTERM');
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

  async #spawn(
    environment: Readonly<Record<string, string>>,
    logFile: string,
    { clock }: StartOptions,
  ): Promise<{ readonly process: RegionProcess; readonly ready: RegionReady }> {
    // Between two commands, because it is the region alone whose clock is wrong. Time that passes is right.
    const faked = clock === undefined ? [] : ['env', `LD_PRELOAD=${FAKETIME_LIBRARY}`, `FAKETIME=${clock}`, 'FAKETIME_DONT_FAKE_MONOTONIC=1'];
    const [program, ...words] = [...this.#options.launcher, ...faked, process.execPath, OVATION_COMMAND, 'region'];
    const child = spawn(program!, words, {
      env: childEnvironment(environment) as NodeJS.ProcessEnv,
      // A group of its own: Ctrl-C reaches whoever runs the rig, who then stops all in order.
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    });
    const log = createWriteStream(path.join(this.#options.folder, logFile), { flags: 'a' });
    const said = { last: '' };
    for (const stream of [child.stdout!, child.stderr!]) {
      stream.on('data', (chunk: Buffer) => {
        said.last = (said.last + chunk.toString()).slice(-LAST_WORDS_MAX);
        log.write(chunk);
      });
    }
    const started: RegionProcess = { child, words: said };
    const early = untilEnded(child).then((code) => {
      throw new Error(`region ${this.region} ended with ${code} before it was ready: ${said.last}`);
    });
    early.catch(() => {});
    const late = AbortSignal.timeout(READY_MS_MAX);
    try {
      const [{ ready }] = (await Promise.race([once(child, 'message', { signal: late }), early])) as [{ readonly ready: RegionReady }];
      return { process: started, ready };
    } catch (error) {
      await end(started, 'SIGKILL');
      throw late.aborted ? new Error(`region ${this.region} was not ready within ${READY_MS_MAX / 1000} s: ${said.last}`) : error;
    }
  }
}

/** Sends a signal, and SIGKILL to who does not end in time. Nothing to one that has ended. */
async function end(started: RegionProcess | null, signal: NodeJS.Signals): Promise<void> {
  if (started === null) return;
  const { child } = started;
  const ended = untilEnded(child);
  child.kill(signal);
  const forced = setTimeout(() => child.kill('SIGKILL'), STOP_MS_MAX);
  await ended;
  clearTimeout(forced);
}

/** Resolves with the exit code; null when a signal ended it. What it wrote has been read by then. */
async function untilEnded(child: ChildProcess): Promise<number | null> {
  if (child.exitCode === null && child.signalCode === null) await once(child, 'close');
  return child.exitCode;
}
