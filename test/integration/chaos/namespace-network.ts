/**
 * Regions as hosts of their own: one network namespace each, on one bridge, where nft loses packets and refuses connections.
 * Nothing outside of them is touched, and names carry our process id: what a run that was killed has left is swept by the
 * next one.
 *
 * Delays are netem's where the kernel has it. Where it does not, the connections to a peer's NATS are led over a local proxy.
 */

import { spawnSync } from 'node:child_process';
import { startLinkProxy, type LinkProxy } from '../../../src/cli/dev/link-proxy.ts';
import { isAlive } from './leftovers.ts';
import type { ChaosNetwork } from './network.ts';

const PREFIX = 'ovc';
/** Of RFC 2544, for trials of networks: nobody's real one. The third byte is ours to choose. */
const SUBNET = '198.18';
const COMMON_HOST = 254;
/** Of nft, in each namespace. */
const TABLE = 'inet ovation_chaos';
const COMMAND_MS_MAX = 10_000;

/** Whether namespaces can be made and packets lost here. */
export function namespacesAvailable(): boolean {
  if (process.getuid?.() !== 0) return false;
  const probe = `${PREFIX}${process.pid}-probe`;
  const worked = attempt(['ip', 'netns', 'add', probe]) && attempt(['ip', 'netns', 'exec', probe, 'nft', 'add', 'table', 'inet', 'probe']);
  attempt(['ip', 'netns', 'del', probe]);
  return worked;
}

export async function startNamespaceNetwork(regions: readonly string[]): Promise<ChaosNetwork> {
  sweepNamespaces();
  const network = new NamespaceNetwork(regions);
  try {
    network.build();
  } catch (error) {
    await network.stop();
    throw error;
  }
  return network;
}

/** Removes what runs left that are no more. What still ran in it is killed. */
export function sweepNamespaces(): void {
  const listed = spawnSync('ip', ['netns', 'list'], { encoding: 'utf8', timeout: COMMAND_MS_MAX }).stdout ?? '';
  const owners = new Set<string>();
  for (const [name, owner] of listed.matchAll(new RegExp(`^${PREFIX}(\\d+)-\\S+`, 'gm'))) {
    if (isAlive(Number(owner))) continue;
    owners.add(owner!);
    removeNamespace(name);
  }
  for (const owner of owners) attempt(['ip', 'link', 'del', `${PREFIX}${owner}`]);
}

class NamespaceNetwork implements ChaosNetwork {
  readonly means = 'network namespaces';
  readonly delayMeans: string;
  readonly hasPackets = true;
  readonly #regions: readonly string[];
  readonly #bridge = `${PREFIX}${process.pid}`;
  readonly #third: number;
  readonly #hasNetem: boolean;
  /** By `from to`: the port of the peer's NATS, and the proxy that slows the way to it. */
  readonly #peerPorts = new Map<string, number>();
  readonly #slow = new Map<string, LinkProxy>();
  readonly #slowed = new Set<string>();
  readonly #removeAtExit = (): void => this.#remove();

  constructor(regions: readonly string[]) {
    this.#regions = regions;
    this.#third = freeThirdByte();
    this.#hasNetem = this.#probeNetem();
    this.delayMeans = this.#hasNetem ? 'tc netem' : 'local proxies (this kernel has no netem)';
  }

  get commonAddress(): string {
    return `${SUBNET}.${this.#third}.${COMMON_HOST}`;
  }

  addressOf(region: string): string {
    return `${SUBNET}.${this.#third}.${this.#regions.indexOf(region) + 1}`;
  }

  launcherOf(region: string): readonly string[] {
    return ['ip', 'netns', 'exec', this.#namespace(region)];
  }

  async peerUrl(from: string, to: string, port: number): Promise<string> {
    this.#peerPorts.set(`${from} ${to}`, port);
    return `nats://${this.addressOf(to)}:${port}`;
  }

  build(): void {
    process.once('exit', this.#removeAtExit);
    const bridge = this.#bridge;
    run(['ip', 'link', 'add', bridge, 'type', 'bridge']);
    run(['ip', 'addr', 'add', `${this.commonAddress}/24`, 'dev', bridge]);
    run(['ip', 'link', 'set', bridge, 'up']);
    for (const region of this.#regions) {
      const namespace = this.#namespace(region);
      const port = this.#portOf(region);
      run(['ip', 'netns', 'add', namespace]);
      run(['ip', 'link', 'add', port, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', namespace]);
      run(['ip', 'link', 'set', port, 'master', bridge, 'up']);
      run(['ip', '-n', namespace, 'addr', 'add', `${this.addressOf(region)}/24`, 'dev', 'eth0']);
      run(['ip', '-n', namespace, 'link', 'set', 'lo', 'up']);
      run(['ip', '-n', namespace, 'link', 'set', 'eth0', 'up']);
    }
  }

  async partition(a: string, b: string): Promise<void> {
    for (const [here, there] of [[a, b], [b, a]] as const) {
      const address = this.addressOf(there);
      this.#rule(here, `in ip saddr ${address} meta l4proto tcp reject with tcp reset`);
      this.#rule(here, `out ip daddr ${address} meta l4proto tcp reject with tcp reset`);
    }
  }

  async blackhole(a: string, b: string): Promise<void> {
    await this.silence(a, b);
    await this.silence(b, a);
  }

  async silence(from: string, to: string): Promise<void> {
    this.#rule(to, `in ip saddr ${this.addressOf(from)} drop`);
  }

  async lose(a: string, b: string, share: number): Promise<void> {
    for (const [here, there] of [[a, b], [b, a]] as const) {
      this.#rule(here, `in ip saddr ${this.addressOf(there)} numgen random mod 1000 < ${Math.round(share * 1000)} drop`);
    }
  }

  async delay(a: string, b: string, delayMs: number): Promise<void> {
    if (this.#hasNetem) {
      // Of everything that these two send: a region that is far away is far from all.
      for (const region of [a, b]) {
        run(['ip', 'netns', 'exec', this.#namespace(region), 'tc', 'qdisc', 'replace', 'dev', 'eth0', 'root', 'netem', 'delay', `${delayMs}ms`]);
        this.#slowed.add(region);
      }
      return;
    }
    for (const [from, to] of [[a, b], [b, a]] as const) await this.#leadOverProxy(from, to, delayMs);
  }

  async unplug(region: string): Promise<void> {
    run(['ip', 'link', 'set', this.#portOf(region), 'down']);
  }

  async silenceToViewers(region: string, port: number): Promise<void> {
    this.#rule(region, `out ip daddr ${this.commonAddress} tcp sport ${port} drop`);
  }

  async heal(): Promise<void> {
    for (const region of this.#regions) {
      attempt(['ip', 'netns', 'exec', this.#namespace(region), 'nft', 'delete', 'table', ...TABLE.split(' ')]);
      run(['ip', 'link', 'set', this.#portOf(region), 'up']);
    }
    for (const region of this.#slowed) attempt(['ip', 'netns', 'exec', this.#namespace(region), 'tc', 'qdisc', 'del', 'dev', 'eth0', 'root']);
    this.#slowed.clear();
    // Connections that run over them go on so, without delay.
    for (const proxy of this.#slow.values()) proxy.delay(0);
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#slow.values()].map((proxy) => proxy.close()));
    this.#slow.clear();
    process.off('exit', this.#removeAtExit);
    this.#remove();
  }

  /** New connections by rewriting their address; those that there are, by ending them once. */
  async #leadOverProxy(from: string, to: string, delayMs: number): Promise<void> {
    const key = `${from} ${to}`;
    const [target, port] = [this.addressOf(to), this.#peerPorts.get(key)!];
    let proxy = this.#slow.get(key);
    if (proxy === undefined) {
      proxy = await startLinkProxy({ listenHost: this.commonAddress, targetHost: target, targetPort: port });
      this.#slow.set(key, proxy);
    }
    proxy.delay(delayMs);
    this.#rule(from, `lead ip daddr ${target} tcp dport ${port} dnat ip to ${this.commonAddress}:${proxy.port}`);
    // Of a new connection the address is another one by then.
    this.#rule(from, `out ip daddr ${target} tcp dport ${port} reject with tcp reset`);
  }

  /** Adds a rule to one of the three chains of a region's table. */
  #rule(region: string, rule: string): void {
    const script = `add table ${TABLE}
add chain ${TABLE} in { type filter hook input priority 0; }
add chain ${TABLE} out { type filter hook output priority 0; }
add chain ${TABLE} lead { type nat hook output priority -100; }
add rule ${TABLE} ${rule}
`;
    run([...this.launcherOf(region), 'nft', '-f', '-'], script);
  }

  #namespace(region: string): string {
    return `${this.#bridge}-${region}`;
  }

  /** The bridge's end of a region's cable. */
  #portOf(region: string): string {
    return `${this.#bridge}v${this.#regions.indexOf(region)}`;
  }

  #probeNetem(): boolean {
    const probe = `${this.#bridge}-netem`;
    const worked =
      attempt(['ip', 'netns', 'add', probe]) && attempt(['ip', 'netns', 'exec', probe, 'tc', 'qdisc', 'add', 'dev', 'lo', 'root', 'netem', 'delay', '1ms']);
    attempt(['ip', 'netns', 'del', probe]);
    return worked;
  }

  #remove(): void {
    for (const region of this.#regions) {
      // By itself it would go some time after the namespace, and its name is wanted again.
      attempt(['ip', 'link', 'del', this.#portOf(region)]);
      removeNamespace(this.#namespace(region));
    }
    attempt(['ip', 'link', 'del', this.#bridge]);
  }
}

/** One that no other rig on this machine uses. */
function freeThirdByte(): number {
  const { stdout } = spawnSync('ip', ['-o', '-4', 'addr'], { encoding: 'utf8', timeout: COMMAND_MS_MAX });
  for (let offset = 0; offset < 256; offset++) {
    const third = (process.pid + offset) % 256;
    if (!stdout.includes(` ${SUBNET}.${third}.`)) return third;
  }
  throw new Error(`all networks of ${SUBNET}.0.0/16 are in use`);
}

function removeNamespace(name: string): void {
  const { stdout } = spawnSync('ip', ['netns', 'pids', name], { encoding: 'utf8', timeout: COMMAND_MS_MAX });
  for (const pid of (stdout ?? '').split('\n').filter(Boolean)) {
    try {
      process.kill(Number(pid), 'SIGKILL');
    } catch {
      // It has ended meanwhile.
    }
  }
  attempt(['ip', 'netns', 'del', name]);
}

function run([program, ...words]: readonly string[], input = ''): void {
  const { status, stderr, error } = spawnSync(program!, words, { encoding: 'utf8', input, timeout: COMMAND_MS_MAX });
  if (status !== 0) throw new Error(`${program} ${words.join(' ')}: ${error?.message ?? stderr.trim()}${input === '' ? '' : `\n${input}`}`);
}

function attempt([program, ...words]: readonly string[]): boolean {
  return spawnSync(program!, words, { stdio: 'ignore', timeout: COMMAND_MS_MAX }).status === 0;
}
