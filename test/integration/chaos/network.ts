/**
 * What lies between the regions of a chaos rig, and how it is broken. Two kinds: network namespaces, where the kernel loses
 * packets as a real network does (Linux, as root), and local proxies everywhere else.
 */

import { namespacesAvailable, startNamespaceNetwork } from './namespace-network.ts';
import { startProxyNetwork } from './proxy-network.ts';

export interface ChaosNetwork {
  /** How links are broken, for the report. */
  readonly means: string;
  /** How links are slowed. */
  readonly delayMeans: string;
  /** True where packets can be lost that are no NATS traffic, and a region be unplugged as a whole. */
  readonly hasPackets: boolean;
  /** The address of what all regions share, and of the viewers. */
  readonly commonAddress: string;
  /** The address of a region, where it listens. */
  addressOf(region: string): string;
  /** The command that runs a program where a region is; empty where that is here. */
  launcherOf(region: string): readonly string[];
  /** How a region reaches a peer's NATS. Once the port is known. */
  peerUrl(from: string, to: string, port: number): Promise<string>;
  /** Connections end at once, and new ones are refused, both ways. */
  partition(a: string, b: string): Promise<void>;
  /** Nothing passes, both ways, and nobody is told. */
  blackhole(a: string, b: string): Promise<void>;
  /** What `from` sends is lost, what `to` sends arrives. */
  silence(from: string, to: string): Promise<void>;
  /** Loses this share of what passes, both ways. */
  lose(a: string, b: string, share: number): Promise<void>;
  /** Holds back what passes, each way. */
  delay(a: string, b: string, delayMs: number): Promise<void>;
  /** Everything of a region to everybody, its viewers and the database included. */
  unplug(region: string): Promise<void>;
  /** What a region says to its viewers, on this port, is lost; what they say arrives. */
  silenceToViewers(region: string, port: number): Promise<void>;
  /** Undoes all of it. */
  heal(): Promise<void>;
  /** Also after a failure, and more than once. */
  stop(): Promise<void>;
}

/** `kind` is for those who want the other one; without it the best that this machine can do. */
export async function startNetwork(regions: readonly string[], kind?: 'namespaces' | 'proxies'): Promise<ChaosNetwork> {
  if (kind === 'namespaces' || (kind === undefined && namespacesAvailable())) return startNamespaceNetwork(regions);
  return startProxyNetwork();
}
