/**
 * The configuration of one region: environment → frozen, validated `Config`. The only reader of
 * `process.env`.
 *
 * Every variable is listed in `VARIABLES`, from which `ovation region --help` prints them. A variable
 * `X` may also be given as `X_FILE`, the path of a file that holds the value, for secrets.
 */

import { readFileSync } from 'node:fs';
import { isId } from '../crdt/ids.ts';
import { parseTopology, type Topology } from '../regions/topology.ts';
import { DEFAULT_BASE, parsePolicy, type BasePolicy } from './moderation/policy.ts';

export interface Config {
  readonly region: string;
  readonly host: string;
  readonly port: number;
  readonly adminPort: number;
  readonly shardCount: number;
  readonly topology: Topology;
  readonly databaseUrl: string | null;
  readonly jwt: { readonly secret: string } | { readonly jwksUrl: string } | null;
  /** Origins that browsers may connect from; `*` for any. */
  readonly origins: readonly string[];
  /** What holds until moderators say otherwise. */
  readonly policy: BasePolicy;
  readonly logLevel: string;
  /** Connections of viewers at most. */
  readonly viewersMax: number;
  /** Proxies of one's own in front, whose `X-Forwarded-For` is believed. */
  readonly proxies: number;
  /** How long a stop takes to let load balancers notice (the first half) and to send viewers away (the second); at once when absent. */
  readonly drainMs?: number;
  /** How long what is known of a stream is kept after its end; the same in all regions, and not below ten minutes but in tests. */
  readonly endedGraceMs?: number;
}

/** A variable is missing or wrong. The message names it and says what is expected. */
export class InvalidConfig extends Error {
  override readonly name = 'InvalidConfig';
}

export const VARIABLES: readonly (readonly [name: string, meaning: string])[] = [
  ['OVATION_REGION', 'this region, one of the topology (required)'],
  ['OVATION_TOPOLOGY', 'path of the topology file: regions, their NATS URLs and credentials (required)'],
  ['OVATION_HOST', 'address to listen on (default 127.0.0.1)'],
  ['OVATION_PORT', 'port of the public API (default 8081)'],
  ['OVATION_ADMIN_PORT', 'port of /livez, /readyz and /metrics (default 9081; 0 picks a free one)'],
  ['OVATION_SHARDS', 'shards of this region, 1 to 256 (default 1)'],
  ['OVATION_DATABASE_URL', 'postgres:// URL of the database of windows (without it: no history)'],
  ['OVATION_JWT_SECRET', 'HS256 secret of at least 32 characters; viewers then need a token'],
  ['OVATION_JWKS_URL', 'http(s) URL of a JWKS instead of a secret'],
  ['OVATION_ORIGINS', 'comma-separated origins, scheme://host[:port], that browsers may connect from (default *)'],
  ['OVATION_POLICY_FILE', 'path of a policy file: palette, limits, ended streams'],
  ['OVATION_LOG_LEVEL', 'debug, info, warn, error or silent (default info)'],
  ['OVATION_VIEWERS_MAX', 'viewer connections at most (default 50000)'],
  ['OVATION_DRAIN_SECONDS', 'how long a stop takes to be noticed by load balancers and to send viewers away (default 10, 0 to 20)'],
  ['OVATION_ENDED_GRACE_SECONDS', 'how long an ended stream is kept, the same in all regions (default 600, 600 to 86400)'],
  ['OVATION_PROXIES', 'proxies in front that append to X-Forwarded-For (default 0: the header is ignored)'],
];

const LOG_LEVELS = ['debug', 'info', 'warn', 'error', 'silent'];

/** @throws InvalidConfig, InvalidTopology, InvalidPolicy */
export function readConfig(environment: Readonly<Record<string, string | undefined>> = process.env): Config {
  const read = (name: string): string | undefined => readVariable(environment, name);
  const topology = parseTopology(readJsonFile('OVATION_TOPOLOGY', required('OVATION_TOPOLOGY', read)));
  const region = required('OVATION_REGION', read);
  if (!isId(region) || !topology.regions.has(region)) {
    throw new InvalidConfig(`OVATION_REGION=${region} is not in the topology (${[...topology.regions.keys()].join(', ')})`);
  }
  const policyFile = read('OVATION_POLICY_FILE');
  const logLevel = read('OVATION_LOG_LEVEL') ?? 'info';
  if (!LOG_LEVELS.includes(logLevel)) throw new InvalidConfig(`OVATION_LOG_LEVEL: one of ${LOG_LEVELS.join(', ')}`);
  return Object.freeze({
    region,
    topology,
    host: read('OVATION_HOST') ?? '127.0.0.1',
    port: integer('OVATION_PORT', read, 8081, 0, 65_535),
    adminPort: integer('OVATION_ADMIN_PORT', read, 9081, 0, 65_535),
    shardCount: integer('OVATION_SHARDS', read, 1, 1, 256),
    databaseUrl: databaseUrl(read('OVATION_DATABASE_URL')),
    jwt: jwt(jwtSecret(read('OVATION_JWT_SECRET')), read('OVATION_JWKS_URL')),
    origins: origins(read('OVATION_ORIGINS') ?? '*'),
    policy: policyFile === undefined ? DEFAULT_BASE : parsePolicy(readJsonFile('OVATION_POLICY_FILE', policyFile)),
    logLevel,
    viewersMax: integer('OVATION_VIEWERS_MAX', read, 50_000, 1, 1_000_000),
    proxies: integer('OVATION_PROXIES', read, 0, 0, 8),
    drainMs: 1000 * integer('OVATION_DRAIN_SECONDS', read, 10, 0, 20),
    endedGraceMs: 1000 * integer('OVATION_ENDED_GRACE_SECONDS', read, 600, 600, 86_400),
  });
}

/** `OVATION_DATABASE_URL` alone, for commands that need nothing else. @throws InvalidConfig */
export function readDatabaseUrl(environment: Readonly<Record<string, string | undefined>> = process.env): string | null {
  return databaseUrl(readVariable(environment, 'OVATION_DATABASE_URL'));
}

/** `OVATION_JWT_SECRET` alone, for commands that sign tokens themselves. @throws InvalidConfig */
export function readJwtSecret(environment: Readonly<Record<string, string | undefined>> = process.env): string | null {
  return jwtSecret(readVariable(environment, 'OVATION_JWT_SECRET'));
}

/** `OVATION_ENDPOINTS`: the regions' APIs, for commands that ask all of them. Not checked. */
export function readEndpoints(environment: Readonly<Record<string, string | undefined>> = process.env): string | null {
  return readVariable(environment, 'OVATION_ENDPOINTS') ?? null;
}

/** `OVATION_TOKEN`, or the file that `OVATION_TOKEN_FILE` names: what a command shows to regions that ask for a token. @throws InvalidConfig */
export function readToken(environment: Readonly<Record<string, string | undefined>> = process.env): string | null {
  const token = readVariable(environment, 'OVATION_TOKEN') ?? null;
  if (token === '') throw new InvalidConfig('OVATION_TOKEN_FILE: the file is empty');
  return token;
}

/** The environment of a child process: this one's, with changes. */
export function childEnvironment(changes: Readonly<Record<string, string>>): Record<string, string | undefined> {
  return { ...process.env, ...changes };
}

function readVariable(environment: Readonly<Record<string, string | undefined>>, name: string): string | undefined {
  const value = environment[name];
  if (value !== undefined && value !== '') return value;
  const path = environment[`${name}_FILE`];
  if (path === undefined || path === '') return undefined;
  return readText(`${name}_FILE`, path).trim();
}

function required(name: string, read: (name: string) => string | undefined): string {
  const value = read(name);
  if (value === undefined) throw new InvalidConfig(`${name} is missing; see ovation region --help`);
  return value;
}

function integer(name: string, read: (name: string) => string | undefined, fallback: number, min: number, max: number): number {
  const text = read(name);
  if (text === undefined) return fallback;
  const value = Number(text);
  if (!Number.isInteger(value) || value < min || value > max) {
    throw new InvalidConfig(`${name}=${text}: an integer from ${min} to ${max}`);
  }
  return value;
}

function databaseUrl(text: string | undefined): string | null {
  if (text === undefined) return null;
  if (!/^postgres(ql)?:\/\//.test(text) || !URL.canParse(text)) throw new InvalidConfig('OVATION_DATABASE_URL: a postgres:// URL');
  return text;
}

function jwtSecret(text: string | undefined): string | null {
  if (text === undefined) return null;
  if (text.length < 32) throw new InvalidConfig('OVATION_JWT_SECRET: at least 32 characters');
  return text;
}

function jwt(secret: string | null, jwksUrl: string | undefined): Config['jwt'] {
  if (secret !== null && jwksUrl !== undefined) {
    throw new InvalidConfig('give OVATION_JWT_SECRET or OVATION_JWKS_URL, not both');
  }
  if (secret !== null) return { secret };
  if (jwksUrl !== undefined) {
    if (!/^https?:\/\//i.test(jwksUrl) || !URL.canParse(jwksUrl)) {
      throw new InvalidConfig('OVATION_JWKS_URL: an http:// or https:// URL');
    }
    return { jwksUrl };
  }
  return null;
}

function origins(text: string): readonly string[] {
  const list = text.split(',').map((origin) => origin.trim());
  const wrong = list.find((origin) => origin !== '*' && !isOrigin(origin));
  if (wrong === undefined) return list;
  throw new InvalidConfig(
    `OVATION_ORIGINS: "${wrong}" is neither * nor an origin as browsers send it: scheme://host[:port], lower case, no path, no default port, no wildcard`,
  );
}

/** Origins are compared as texts, so that one written in another way would let nobody in. */
function isOrigin(text: string): boolean {
  if (!URL.canParse(text) || text.includes('*')) return false;
  const { protocol, host } = new URL(text);
  return host !== '' && text === `${protocol}//${host}`;
}

function readJsonFile(name: string, path: string): unknown {
  const text = readText(name, path);
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new InvalidConfig(`${name}: ${path} is not JSON (${(error as Error).message})`);
  }
}

function readText(name: string, path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new InvalidConfig(`${name}: cannot read ${path} (${(error as Error).message})`);
  }
}
