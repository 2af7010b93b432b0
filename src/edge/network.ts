/**
 * The network that a viewer came from, shortened to what one household or office has: IPv4 /24, IPv6 /48. Pure.
 *
 * Null when the address says nothing about the viewer: loopback, private and shared ranges are those of tests, of a
 * proxy in front or of a provider's gateway, and a limit on them would be one on everybody [SPAM-10]. What
 * `X-Forwarded-For` says is believed for as many hops as the operator has put proxies there, and no further: each
 * proxy appends whom it heard, so the entry of the outermost one's peer stands that far from the right.
 */

import { isIPv4, isIPv6 } from 'node:net';

/** `socketAddress` is the peer's; `forwarded` the header, or what all headers of that name hold. */
export function networkOf(socketAddress: string | undefined, forwarded: string | readonly string[] | undefined, proxies: number): string | null {
  if (proxies === 0) return prefixOf(socketAddress ?? '');
  const hops = [forwarded ?? []].flat().join(',').split(',');
  return prefixOf(hops.at(-proxies)?.trim() ?? '');
}

function prefixOf(address: string): string | null {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1] ?? address;
  if (isIPv4(mapped)) return isPublicIPv4(mapped) ? `${mapped.split('.').slice(0, 3).join('.')}.0/24` : null;
  const zoneless = address.replace(/%.*$/, '');
  return isIPv6(zoneless) ? prefixOfIPv6(zoneless) : null;
}

function isPublicIPv4(address: string): boolean {
  const [a, b] = address.split('.').map(Number) as [number, number];
  const isPrivate = a === 10 || (a === 172 && b >= 16 && b < 32) || (a === 192 && b === 168);
  const isShared = a === 100 && b >= 64 && b < 128;
  return !(isPrivate || isShared || a === 0 || a === 127 || (a === 169 && b === 254) || a >= 224);
}

function prefixOfIPv6(address: string): string | null {
  // Only the first three groups matter; what `::` stands for begins with zeros.
  const [head] = address.split('::') as [string];
  const groups = [...head.split(':').filter((group) => group !== ''), '0', '0', '0'].slice(0, 3).map((group) => Number.parseInt(group, 16));
  // Global unicast alone says where somebody lives.
  if ((groups[0]! & 0xe000) !== 0x2000) return null;
  return `${groups.map((group) => group.toString(16)).join(':')}::/48`;
}
