/**
 * Regions as in production, on one machine: each a nats-server and a process of its own. Every region
 * reaches each peer's NATS through a proxy, one a direction, so that links can be cut and delayed.
 */

import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { Runtime } from '../../../regions/runtime.ts';
import type { NatsAddress } from '../../../regions/topology.ts';
import { childEnvironment } from '../../config.ts';
import { CommandFailure } from '../failure.ts';
import { deleteStreams } from '../nats-streams.ts';
import { regionEnvironment, type Cluster, type ClusterPlan, type RegionPlan } from './cluster.ts';
import type { DeleteStreamCommand, RegionStatus } from '../../web/live/dev-api.ts';
import { startLinkProxy, type LinkProxy } from './link-proxy.ts';
import { Links } from './links.ts';
import { startNatsServer, type NatsBinary, type NatsServer } from './nats-server.ts';
import { NodeChild } from './node-child.ts';
import { Supervised, type Startable } from './supervised.ts';

interface Member {
  readonly plan: RegionPlan;
  readonly nats: Supervised;
  readonly region: Supervised;
}

export async function startNatsCluster(
  plan: ClusterPlan,
  binary: NatsBinary,
  runtime: Runtime,
  say: (line: string) => void,
): Promise<Cluster> {
  const cluster = new NatsCluster(plan, binary, runtime, say);
  try {
    await cluster.start();
    return cluster;
  } catch (error) {
    await cluster.stop();
    throw error;
  }
}

class NatsCluster implements Cluster {
  readonly links: Links;
  readonly #plan: ClusterPlan;
  readonly #binary: NatsBinary;
  readonly #runtime: Runtime;
  readonly #say: (line: string) => void;
  readonly #servers: Supervised[] = [];
  readonly #members: Member[] = [];
  readonly #proxies = new Map<string, LinkProxy>();
  /** Region → its own NATS, for itself. */
  readonly #addresses = new Map<string, NatsAddress>();
  #stopped: Promise<void> | null = null;

  constructor(plan: ClusterPlan, binary: NatsBinary, runtime: Runtime, say: (line: string) => void) {
    this.#plan = plan;
    this.#binary = binary;
    this.#runtime = runtime;
    this.#say = say;
    const proxy = (from: string, to: string): LinkProxy => this.#proxies.get(`${from}>${to}`)!;
    const ids = plan.regions.map(({ id }) => id);
    this.links = new Links(
      ids,
      {
        cut: (from, to) => proxy(from, to).cut(),
        heal: (from, to) => proxy(from, to).heal(),
        delay: (from, to, delayMs) => proxy(from, to).delay(delayMs),
        // A proxy's client is the region that reads, so both carry words of both.
        silence: (from, to) => {
          proxy(from, to).silence('mute');
          proxy(to, from).silence('deaf');
        },
        lose: (from, to, share) => proxy(from, to).lose(share),
      },
      runtime.timers,
    );
  }

  async start(): Promise<void> {
    const servers = await Promise.all(this.#plan.regions.map((region) => this.#startNats(region)));
    const addresses = new Map(this.#plan.regions.map(({ id }, index) => [id, servers[index]!.server]));
    for (const reader of addresses.keys()) {
      for (const [owner, server] of addresses) {
        if (reader === owner) continue;
        const proxy = await startLinkProxy({ targetHost: '127.0.0.1', targetPort: server.port, random: () => this.#runtime.random.next() });
        this.#proxies.set(`${reader}>${owner}`, proxy);
      }
    }
    await Promise.all(
      this.#plan.regions.map((region, index) => this.#startRegion(region, servers[index]!.supervised, addresses)),
    );
  }

  regions(): RegionStatus[] {
    return this.#members.map(({ plan, nats, region }) => ({
      id: plan.id,
      api: `http://127.0.0.1:${plan.port}`,
      admin: `http://127.0.0.1:${plan.adminPort}`,
      pid: region.pid,
      nats_pid: nats.pid,
      nats_data: this.#natsFolder(plan.id),
      state: nats.state === 'running' ? region.state : nats.state,
      parts: {
        log: `nats-server ${this.#binary.version}`,
        journal: 'JetStream',
        windows: `JetStream → ${this.#plan.databaseName}`,
        shards: String(this.#plan.shards),
      },
      restarts: region.restarts + nats.restarts,
    }));
  }

  get processes(): ReadonlyMap<string, Supervised> {
    return new Map(this.#members.flatMap(({ plan: { id }, nats, region }) => [[id, region] as const, [`${id}-nats`, nats] as const]));
  }

  twin(region: string): Startable | null {
    const member = this.#members.find(({ plan }) => plan.id === region);
    return member === undefined ? null : this.#regionProcess(`second region ${region}`, { ...member.plan, port: 0, adminPort: 0 });
  }

  async deleteStream({ region, stream }: DeleteStreamCommand): Promise<void> {
    const address = this.#addresses.get(region);
    if (address === undefined) throw new CommandFailure('usage', `there is no region ${region}`);
    const deleted = await deleteStreams(region, address, stream);
    this.#say(`deleted ${deleted.join(', ')} of ${region}`);
  }

  stop(): Promise<void> {
    return (this.#stopped ??= this.#stopInOrder());
  }

  /** Regions before their NATS, so that they can hand over what they hold. */
  async #stopInOrder(): Promise<void> {
    this.links.stop();
    await Promise.all(this.#members.map(({ region }) => region.stop()));
    await Promise.all([...this.#proxies.values()].map((proxy) => proxy.close()));
    await Promise.all(this.#servers.map((server) => server.stop()));
  }

  async #startNats({ id }: RegionPlan): Promise<{ readonly server: NatsServer; readonly supervised: Supervised }> {
    const storeDir = this.#natsFolder(id);
    const process = new NatsProcess(`${id}'s nats-server`, () => startNatsServer({ region: id, storeDir }, this.#binary));
    const supervised = new Supervised(process, this.#runtime, this.#say);
    this.#servers.push(supervised);
    await supervised.start();
    this.#addresses.set(id, process.server!.address);
    return { server: process.server!, supervised };
  }

  async #startRegion(plan: RegionPlan, nats: Supervised, servers: ReadonlyMap<string, NatsServer>): Promise<void> {
    const topologyFile = this.#topologyFile(plan.id);
    mkdirSync(path.dirname(topologyFile), { recursive: true });
    writeFileSync(topologyFile, JSON.stringify(this.#topologyOf(plan.id, servers), null, 2), { mode: 0o600 });
    const region = new Supervised(this.#regionProcess(`region ${plan.id}`, plan), this.#runtime, this.#say);
    this.#members.push({ plan, nats, region });
    await region.start();
  }

  #regionProcess(name: string, plan: RegionPlan): NodeChild {
    return new NodeChild({
      name,
      args: ['region'],
      environment: childEnvironment(regionEnvironment(this.#plan, plan, this.#topologyFile(plan.id))),
      onLine: (line) => this.#say(line),
    });
  }

  #topologyFile(region: string): string {
    return path.join(this.#plan.folder, region, 'topology.json');
  }

  #natsFolder(region: string): string {
    return path.join(this.#plan.folder, region, 'nats');
  }

  /** The topology as one region sees it: itself directly, the others through its proxies only. */
  #topologyOf(reader: string, servers: ReadonlyMap<string, NatsServer>): object {
    const regions = [...servers].map(([owner, server]) => {
      const peer: NatsAddress =
        owner === reader
          ? server.peerAddress
          : { ...server.peerAddress, url: `nats://127.0.0.1:${this.#proxies.get(`${reader}>${owner}`)!.port}` };
      return [owner, { nats: owner === reader ? server.address : peer, peer }];
    });
    return { regions: Object.fromEntries(regions) };
  }
}

/** A nats-server that comes back on the same port and folder. */
class NatsProcess implements Startable {
  readonly name: string;
  server: NatsServer | null = null;
  readonly #startFirst: () => Promise<NatsServer>;

  constructor(name: string, startFirst: () => Promise<NatsServer>) {
    this.name = name;
    this.#startFirst = startFirst;
  }

  get pid(): number | null {
    return this.server?.pid ?? null;
  }

  async start(): Promise<void> {
    if (this.server === null) this.server = await this.#startFirst();
    else await this.server.restart();
  }

  async ended(): Promise<string> {
    await this.server?.exited;
    return 'it was killed or crashed';
  }

  async stop(): Promise<void> {
    await this.server?.stop();
  }

  kill(): void {
    void this.server?.kill();
  }
}
