/**
 * The heartbeat: what the writer of a log says about the log, once a second.
 *
 * Brokers lose messages silently, and report a lag of 0 while they do. The heartbeat is how readers
 * know: it carries the digest of all entries of the region's actors, each current actor's sequence and
 * the digest of the region's documents, exactly as the log holds them at its place. It also carries the
 * viewers of the region, and of each peer how far it has been heard: who hears that knows which of its own moments
 * lies before the heartbeat, without comparing two regions' clocks.
 *
 * Wire format: one version byte, then a msgpack array `[at, digest | nil,
 * [shard, epoch, sequence, …], [stream, viewers, …]]`, and in version 2 at its end the documents' digest
 * or nil. Who has no documents writes version 1, which says nothing of them. Who has forgotten streams writes
 * version 3: the documents' digest, nil, or false where nothing is said of them, and then the digest of the
 * forgotten streams. Who has heard a peer writes version 4: as version 3, false also where nothing is forgotten, and at
 * the end `[region, epoch, at, …]`. Pure and strict.
 */

import { Decoder, Encoder } from '@msgpack/msgpack';
import { actorId, parseActorId, type ActorId } from '../crdt/actor.ts';
import { isCount } from '../crdt/counts.ts';
import { isId, type StreamId } from '../crdt/ids.ts';

export interface Heartbeat {
  /** The writer's clock when it was made, milliseconds since the epoch. */
  readonly at: number;
  /** Digest of the region's entries in the log; null when the log lags behind what was counted. */
  readonly digest: string | null;
  /** The highest sequence that the log holds of each actor that the region writes as now. */
  readonly actors: readonly (readonly [actor: ActorId, sequence: number])[];
  /** Viewers in the region, of the streams most watched. */
  readonly viewers: readonly (readonly [stream: StreamId, viewers: number])[];
  /** Digest of the documents in the log; null when the log lags behind, absent when nothing is said of them. */
  readonly documents?: string | null;
  /** Digest of the streams that the writer has forgotten, which are not in `digest`; absent when there are none. */
  readonly forgotten?: string;
  /** Of peers, the last of their heartbeats that the writer had heard; absent when it had heard none. */
  readonly heard?: readonly HeardOf[];
}

/** A heartbeat of `region`: the newest epoch among its actors, which names one life, and its time by that life's clock. */
export interface HeardOf {
  readonly region: string;
  readonly epoch: number;
  readonly at: number;
}

/** The digest of no streams. */
export const NOTHING_FORGOTTEN = '0'.repeat(16);
const HEARTBEAT_VERSION = 4;
const VERSION_WITHOUT_DOCUMENTS = 1;
const VERSION_WITHOUT_FORGOTTEN = 2;
const VERSION_WITHOUT_HEARD = 3;
const FIELDS_OF_VERSION: Readonly<Record<number, number>> = { 1: 4, 2: 5, 3: 6, 4: 7 };
const HEARTBEAT_ACTORS_MAX = 1024;
export const HEARTBEAT_STREAMS_MAX = 4096;
const HEARTBEAT_REGIONS_MAX = 256;
const HEARTBEAT_BYTES_MAX = 512 * 1024;

/** Bytes that are no heartbeat. */
export class MalformedHeartbeat extends Error {
  override readonly name = 'MalformedHeartbeat';
}

const DIGEST_PATTERN = /^[0-9a-f]{16}$/;
const encoder = new Encoder();
const decoder = new Decoder({
  maxStrLength: 64,
  maxBinLength: 0,
  maxArrayLength: Math.max(3 * HEARTBEAT_ACTORS_MAX, 2 * HEARTBEAT_STREAMS_MAX, 3 * HEARTBEAT_REGIONS_MAX),
  maxMapLength: 0,
  maxExtLength: 0,
});

/** Keeps the lists within their bounds: of the viewers the most watched streams. */
export function encodeHeartbeat({ at, digest, actors, viewers, documents, forgotten, heard = [] }: Heartbeat): Uint8Array {
  const actorFields = actors.slice(0, HEARTBEAT_ACTORS_MAX).flatMap(([actor, sequence]) => {
    const { shard, epoch } = parseActorId(actor);
    return [shard, epoch, sequence];
  });
  const fields: unknown[] = [Math.floor(at), digest, actorFields, mostWatched(viewers).flat()];
  const heardFields = heard.slice(0, HEARTBEAT_REGIONS_MAX).flatMap(({ region, epoch, at: heardAt }) => [region, epoch, heardAt]);
  const version = versionOf(documents, forgotten, heard.length);
  if (version >= VERSION_WITHOUT_HEARD) fields.push(documents ?? (documents === null ? null : false), forgotten ?? false);
  else if (documents !== undefined) fields.push(documents);
  if (version === HEARTBEAT_VERSION) fields.push(heardFields);
  const body = encoder.encodeSharedRef(fields);
  const bytes = new Uint8Array(1 + body.length);
  bytes[0] = version;
  bytes.set(body, 1);
  return bytes;
}

/** The oldest that can say it. */
function versionOf(documents: string | null | undefined, forgotten: string | undefined, heard: number): number {
  if (heard > 0) return HEARTBEAT_VERSION;
  if (forgotten !== undefined) return VERSION_WITHOUT_HEARD;
  return documents === undefined ? VERSION_WITHOUT_DOCUMENTS : VERSION_WITHOUT_FORGOTTEN;
}

/** @throws MalformedHeartbeat */
export function decodeHeartbeat(region: string, bytes: Uint8Array): Heartbeat {
  if (bytes.length > HEARTBEAT_BYTES_MAX) throw new MalformedHeartbeat(`a heartbeat of ${bytes.length} bytes`);
  const version = bytes[0] ?? 0;
  const length = FIELDS_OF_VERSION[version];
  if (length === undefined) {
    throw new MalformedHeartbeat(`heartbeat version ${version}; this build reads up to ${HEARTBEAT_VERSION}`);
  }
  const fields = decodeFields(bytes);
  if (!Array.isArray(fields) || fields.length !== length) throw new MalformedHeartbeat('not a heartbeat');
  const [at, digest, actors, viewers, documents, forgotten, heard] = fields as unknown[];
  if (!isCount(at)) throw new MalformedHeartbeat('the time is no count');
  const heartbeat = { at, digest: decodeDigest(digest), actors: decodeActors(region, actors), viewers: decodeViewers(viewers) };
  if (version === VERSION_WITHOUT_DOCUMENTS) return heartbeat;
  if (version === VERSION_WITHOUT_FORGOTTEN) return { ...heartbeat, documents: decodeDigest(documents) };
  const told = { ...heartbeat, ...(documents === false ? {} : { documents: decodeDigest(documents) }) };
  if (version === VERSION_WITHOUT_HEARD) return { ...told, forgotten: decodeForgotten(forgotten) };
  return { ...told, ...(forgotten === false ? {} : { forgotten: decodeForgotten(forgotten) }), heard: decodeHeard(heard) };
}

function decodeForgotten(digest: unknown): string {
  const decoded = decodeDigest(digest);
  if (decoded === null) throw new MalformedHeartbeat('not a digest');
  return decoded;
}

function decodeHeard(fields: unknown): HeardOf[] {
  if (!Array.isArray(fields) || fields.length === 0 || fields.length % 3 !== 0) throw new MalformedHeartbeat('not a list of what was heard');
  const heard: HeardOf[] = [];
  for (let index = 0; index < fields.length; index += 3) {
    const region: unknown = fields[index];
    const epoch: unknown = fields[index + 1];
    const at: unknown = fields[index + 2];
    if (!isId(region) || !isCount(epoch) || epoch === 0 || !isCount(at)) throw new MalformedHeartbeat('not what was heard of a region');
    heard.push({ region, epoch, at });
  }
  return heard;
}

function decodeDigest(digest: unknown): string | null {
  if (digest === null || (typeof digest === 'string' && DIGEST_PATTERN.test(digest))) return digest;
  throw new MalformedHeartbeat('not a digest');
}

function decodeActors(region: string, fields: unknown): Heartbeat['actors'] {
  if (!Array.isArray(fields) || fields.length % 3 !== 0) throw new MalformedHeartbeat('not a list of actors');
  const actors: [ActorId, number][] = [];
  for (let index = 0; index < fields.length; index += 3) {
    const shard: unknown = fields[index];
    const epoch: unknown = fields[index + 1];
    const sequence: unknown = fields[index + 2];
    if (!isCount(shard) || !isCount(epoch) || epoch === 0 || !isCount(sequence)) throw new MalformedHeartbeat('not an actor');
    actors.push([actorId({ region, shard, epoch }), sequence]);
  }
  return actors;
}

function decodeViewers(fields: unknown): Heartbeat['viewers'] {
  if (!Array.isArray(fields) || fields.length % 2 !== 0) throw new MalformedHeartbeat('not a list of viewers');
  const viewers: [StreamId, number][] = [];
  for (let index = 0; index < fields.length; index += 2) {
    const stream: unknown = fields[index];
    const count: unknown = fields[index + 1];
    if (!isId(stream) || !isCount(count)) throw new MalformedHeartbeat('not viewers of a stream');
    viewers.push([stream as StreamId, count]);
  }
  return viewers;
}

function decodeFields(bytes: Uint8Array): unknown {
  try {
    return decoder.decode(bytes.subarray(1));
  } catch (error) {
    throw new MalformedHeartbeat('not msgpack', { cause: error });
  }
}

function mostWatched(viewers: Heartbeat['viewers']): Heartbeat['viewers'] {
  if (viewers.length <= HEARTBEAT_STREAMS_MAX) return viewers;
  return [...viewers].sort(([, a], [, b]) => b - a).slice(0, HEARTBEAT_STREAMS_MAX);
}
