/**
 * The topology: which regions there are, how each reaches its own NATS, and how its peers reach it.
 *
 * One file for the whole deployment:
 * `{"regions": {"us": {"nats": {"url", "user", "password"}, "peer": {"url", "user", "password"}}, …}}`.
 * `nats` is for the region itself (all rights), `peer` for the other regions (may read its log only).
 */

import { isId } from '../crdt/ids.ts';

export interface NatsAddress {
  /** `nats://host:port` or `tls://host:port`, without credentials in it. */
  readonly url: string;
  readonly user?: string;
  readonly password?: string;
}

export interface RegionAddresses {
  readonly nats: NatsAddress;
  readonly peer: NatsAddress;
}

export interface Topology {
  readonly regions: ReadonlyMap<string, RegionAddresses>;
}

export const REGIONS_MAX = 64;

/** The topology file breaks a rule. The message says where and what is expected. */
export class InvalidTopology extends Error {
  override readonly name = 'InvalidTopology';
}

/** @throws InvalidTopology */
export function parseTopology(document: unknown): Topology {
  const regions = field(document, 'regions', 'the topology');
  const names = Object.keys(record(regions, 'regions'));
  if (names.length === 0 || names.length > REGIONS_MAX) throw new InvalidTopology(`regions: 1 to ${REGIONS_MAX} of them`);
  const parsed = new Map<string, RegionAddresses>();
  for (const name of names) {
    if (!isId(name)) throw new InvalidTopology(`regions: "${name}" must match [A-Za-z0-9_-]{1,64}`);
    const region = field(regions, name, 'regions');
    parsed.set(name, {
      nats: parseAddress(field(region, 'nats', name), `${name}.nats`),
      peer: parseAddress(field(region, 'peer', name), `${name}.peer`),
    });
  }
  return { regions: parsed };
}

function parseAddress(document: unknown, where: string): NatsAddress {
  const fields = record(document, where);
  const url = fields['url'];
  if (typeof url !== 'string' || !URL.canParse(url) || !['nats:', 'tls:'].includes(new URL(url).protocol)) {
    throw new InvalidTopology(`${where}.url: nats://host:port or tls://host:port`);
  }
  const parsed = new URL(url);
  if (parsed.username !== '' || parsed.password !== '') {
    throw new InvalidTopology(`${where}.url: give user and password as fields of their own, URLs end up in logs`);
  }
  return { url, ...optionalText(fields, 'user', where), ...optionalText(fields, 'password', where) };
}

function optionalText<Name extends string>(
  fields: Record<string, unknown>,
  name: Name,
  where: string,
): { readonly [key in Name]?: string } {
  const value = fields[name];
  if (value === undefined) return {};
  if (typeof value !== 'string' || value === '') throw new InvalidTopology(`${where}.${name}: a text`);
  return { [name]: value } as { readonly [key in Name]?: string };
}

function field(document: unknown, name: string, where: string): unknown {
  const value = record(document, where)[name];
  if (value === undefined) throw new InvalidTopology(`${where}: "${name}" is missing`);
  return value;
}

function record(document: unknown, where: string): Record<string, unknown> {
  if (typeof document !== 'object' || document === null || Array.isArray(document)) {
    throw new InvalidTopology(`${where}: an object`);
  }
  return document as Record<string, unknown>;
}
