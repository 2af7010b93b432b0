/**
 * What a doctor finds: facts about a region's surroundings → findings, each with what to do about it. Pure.
 */

export interface Finding {
  readonly check: string;
  readonly level: 'ok' | 'warn' | 'fail';
  readonly detail: string;
  /** What to do about it; for all but `ok`. */
  readonly advice?: string;
}

const NODE_MIN = [20, 19] as const;
/** The last line of releases that gets no fixes any more. */
const NODE_ENDED = 20;
/** Older ones may lose a stream when they stop uncleanly. */
const NATS_GOOD = [2, 10, 23] as const;
/** What windows and rows are sent in, with room for what is around them. */
const PAYLOAD_BYTES_MIN = 1024 * 1024;
/** Beside viewers: NATS, database, metrics, files. */
const OTHER_FILES = 256;
const DISK_BYTES_FAIL = 512 * 1024 * 1024;
const DISK_BYTES_WARN = 4 * 1024 * 1024 * 1024;
const CLOCK_MS_WARN = 1_000;
/** From here on regions misjudge which claims are too old to be known. */
const CLOCK_MS_FAIL = 60_000;
const SYNC_MS_MAX = 1_000;

export function ok(check: string, detail: string): Finding {
  return { check, level: 'ok', detail };
}

export function warn(check: string, detail: string, advice: string): Finding {
  return { check, level: 'warn', detail, advice };
}

export function fail(check: string, detail: string, advice: string): Finding {
  return { check, level: 'fail', detail, advice };
}

export function judgeNode(version: string): Finding {
  const detail = `Node ${version}`;
  if (isBelow(version, NODE_MIN)) return fail('node', `${detail} is too old`, `install Node ${NODE_MIN.join('.')} or newer, best a line that gets fixes`);
  if (Number.parseInt(version, 10) <= NODE_ENDED) return warn('node', `${detail} gets no security fixes any more`, 'run Node 24');
  return ok('node', detail);
}

export function judgeOpenFiles(filesMax: number | null, viewersMax: number): Finding {
  const wanted = viewersMax + OTHER_FILES;
  if (filesMax === null) return warn('open files', 'the limit is not known on this system', `make sure that ulimit -n is ${wanted} or more`);
  if (filesMax >= wanted) return ok('open files', `${shown(filesMax)} may be open, ${wanted} may be needed`);
  const advice = `raise the limit (LimitNOFILE=${wanted}, ulimit -n ${wanted}), or lower OVATION_VIEWERS_MAX to ${Math.max(1, filesMax - OTHER_FILES)}`;
  return fail('open files', `${filesMax} may be open, and ${viewersMax} viewers need ${wanted}`, advice);
}

export interface NatsFacts {
  readonly version: string;
  readonly maxPayload: number;
  readonly storage: { readonly bytes: number; readonly bytesMax: number | null };
  /** Null when it could not be asked. */
  readonly syncMs: number | 'always' | null;
}

export function judgeNats(facts: NatsFacts): Finding[] {
  const { version, maxPayload, storage } = facts;
  const findings = [
    isBelow(version, NATS_GOOD)
      ? warn('nats', `nats-server ${version} may lose a stream that it did not close in order`, `install nats-server ${NATS_GOOD.join('.')} or newer`)
      : ok('nats', `nats-server ${version} answers`),
  ];
  if (maxPayload < PAYLOAD_BYTES_MIN) findings.push(fail('nats payload', `it takes messages of ${maxPayload} bytes`, `set max_payload: 8MB, at least ${PAYLOAD_BYTES_MIN}`));
  const detail = `JetStream stores ${megabytes(storage.bytes)}${storage.bytesMax === null ? ', without a limit of the account' : ` of ${megabytes(storage.bytesMax)}`}`;
  const nearlyFull = storage.bytesMax !== null && storage.bytes > 0.8 * storage.bytesMax;
  findings.push(nearlyFull ? warn('nats storage', detail, 'raise max_file, or the limit of the account') : ok('nats storage', detail));
  findings.push(judgeSync(facts));
  return findings;
}

function judgeSync({ version, syncMs }: NatsFacts): Finding {
  const check = 'nats sync';
  if (isBelow(version, [2, 10])) return warn(check, `nats-server ${version} flushes every two minutes: a power cut loses what was acknowledged since`, 'install 2.10 or newer and set sync_interval: always');
  if (syncMs === null) return warn(check, 'when it flushes to the disk cannot be seen from here', 'give --nats-monitor with its monitoring URL, and set sync_interval: always');
  if (syncMs === 'always') return ok(check, 'every message is flushed before it is acknowledged');
  const detail = `it flushes every ${syncMs / 1000} s: a power cut loses what was acknowledged since`;
  return syncMs <= SYNC_MS_MAX ? ok(check, detail) : warn(check, detail, 'set sync_interval: always, or 1s where that costs too much');
}

/** How far ahead of ours another clock is, and how sure that is. */
export interface ClockOffset {
  readonly offsetMs: number;
  readonly uncertaintyMs: number;
}

/** By the times before and after the other one was asked. */
export function clockOffset(beforeMs: number, otherMs: number, afterMs: number): ClockOffset {
  return { offsetMs: otherMs - (beforeMs + afterMs) / 2, uncertaintyMs: (afterMs - beforeMs) / 2 };
}

export function judgeClock(whose: string, { offsetMs, uncertaintyMs }: ClockOffset): Finding {
  const check = `clock of ${whose}`;
  const apartMs = Math.max(0, Math.abs(offsetMs) - uncertaintyMs);
  const detail = `${Math.abs(Math.round(offsetMs))} ms ${offsetMs < 0 ? 'behind' : 'ahead of'} this one, ±${Math.ceil(uncertaintyMs)} ms`;
  const advice = 'synchronise both with NTP (chrony, systemd-timesyncd), and look at which one is wrong';
  if (apartMs >= CLOCK_MS_FAIL) return fail(check, detail, advice);
  return apartMs >= CLOCK_MS_WARN ? warn(check, detail, advice) : ok(check, detail);
}

/** `messages` is null when the peer has no log; `readsMore` when its user may see what is not for peers. */
export function judgePeer(peer: string, messages: number | null, readsMore: boolean): Finding {
  const check = `peer ${peer}`;
  if (messages === null) return warn(check, 'its NATS answers, and has no log of it', 'start the region; it makes its log when it starts for the first time');
  if (readsMore) return warn(check, `its log can be read (${messages} messages), and so can what is not for peers`, 'allow the user that peers are given nothing but reading its log (docs/adr/0002-topology-of-nats.md)');
  return ok(check, `its log can be read, and nothing else (${messages} messages)`);
}

export function judgeMigrations(pending: readonly string[]): Finding {
  if (pending.length === 0) return ok('database', 'it answers, and its schema is of this build');
  return fail('database', `it answers, and lacks ${pending.join(', ')}`, 'run ovation migrate');
}

export function judgeDisk(folder: string, freeBytes: number): Finding {
  const detail = `${megabytes(freeBytes)} free on ${folder}`;
  const advice = 'make room: a region whose NATS cannot write acknowledges nothing';
  if (freeBytes < DISK_BYTES_FAIL) return fail('disk', detail, advice);
  return freeBytes < DISK_BYTES_WARN ? warn('disk', detail, advice) : ok('disk', detail);
}

export function judgeAccess(tokens: boolean, origins: readonly string[]): Finding {
  if (!tokens) return warn('access', 'no token key: anybody may react as anybody, read the books and moderate', 'set OVATION_JWT_SECRET_FILE or OVATION_JWKS_URL');
  if (origins.includes('*')) return warn('access', 'pages of any origin may connect', 'name those of your players in OVATION_ORIGINS');
  return ok('access', `viewers need a token; pages of ${origins.join(', ')} may connect`);
}

function isBelow(version: string, wanted: readonly number[]): boolean {
  const parts = version.split(/[.-]/).map(Number);
  for (const [index, least] of wanted.entries()) {
    const part = parts[index] ?? 0;
    if (part !== least) return part < least;
  }
  return false;
}

function megabytes(bytes: number): string {
  return bytes < 1024 ** 3 ? `${(bytes / 1024 ** 2).toFixed(0)} MB` : `${(bytes / 1024 ** 3).toFixed(1)} GB`;
}

function shown(count: number): string {
  return Number.isFinite(count) ? String(count) : 'any number';
}
