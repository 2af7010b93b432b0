/** Links without rights: all regions are on this machine's own address, and reach their peers' NATS through local proxies. */

import { startLinkProxy, type LinkProxy } from '../../../src/cli/dev/link-proxy.ts';
import type { ChaosNetwork } from './network.ts';

const HERE = '127.0.0.1';

interface Link {
  readonly targetPort: number;
  readonly listenPort: number;
  proxy: LinkProxy | null;
}

export function startProxyNetwork(): ChaosNetwork {
  /** By `from to`. */
  const links = new Map<string, Link>();
  const start = (targetPort: number, listenPort?: number): Promise<LinkProxy> =>
    startLinkProxy({ targetHost: HERE, targetPort, random: Math.random, ...(listenPort === undefined ? {} : { listenPort }) });
  const between = (a: string, b: string): Link[] => [links.get(`${a} ${b}`)!, links.get(`${b} ${a}`)!];
  const refuse = async (link: Link): Promise<void> => {
    await link.proxy?.close();
    link.proxy = null;
  };
  const unsupported = (what: string): Promise<never> => Promise.reject(new Error(`${what} needs network namespaces: Linux, as root, with nft`));

  return {
    means: 'local proxies',
    delayMeans: 'local proxies',
    hasPackets: false,
    commonAddress: HERE,
    addressOf: () => HERE,
    launcherOf: () => [],
    async peerUrl(from, to, port) {
      const proxy = await start(port);
      links.set(`${from} ${to}`, { targetPort: port, listenPort: proxy.port, proxy });
      return `nats://${HERE}:${proxy.port}`;
    },
    async partition(a, b) {
      await Promise.all(between(a, b).map(refuse));
    },
    async blackhole(a, b) {
      for (const { proxy } of between(a, b)) proxy?.cut();
    },
    async silence(from, to) {
      // What `from` says on its own connection, and what it answers on the peer's.
      links.get(`${from} ${to}`)!.proxy?.silence('mute');
      links.get(`${to} ${from}`)!.proxy?.silence('deaf');
    },
    async lose(a, b, share) {
      for (const { proxy } of between(a, b)) proxy?.lose(share);
    },
    async delay(a, b, delayMs) {
      for (const { proxy } of between(a, b)) proxy?.delay(delayMs);
    },
    unplug: () => unsupported('unplugging a region'),
    silenceToViewers: () => unsupported('losing what viewers are told'),
    async heal() {
      for (const link of links.values()) {
        link.proxy ??= await start(link.targetPort, link.listenPort);
        link.proxy.lose(0);
        link.proxy.delay(0);
        link.proxy.heal();
      }
    },
    async stop() {
      await Promise.all([...links.values()].map(refuse));
    },
  };
}
