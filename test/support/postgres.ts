/**
 * A real Postgres for a test file: a fresh cluster in a temporary folder on a free port.
 *
 * Postgres refuses to run as root, so as root it runs as Debian's `postgres` user. `fsync` is off:
 * nothing here must outlive the test.
 */

import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { appendFileSync, chownSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { setTimeout as pause } from 'node:timers/promises';
import { Client, type QueryResultRow } from 'pg';
import { startGuard } from '../../src/cli/dev/guard.ts';

const DEBIAN_FOLDER = '/usr/lib/postgresql';
const START_MS_MAX = 60_000;
const binaries = findBinaries();

/** False only on a person's machine: with CI set, tests run and fail for want of the binaries. */
export const postgresAvailable = binaries !== null || process.env['CI'] === 'true';

if (binaries === null) {
  console.warn('\n*** Postgres is not installed: its tests are skipped. Install it with: sudo apt-get install postgresql\n');
}

export interface Postgres {
  /** Of the cluster's own database `postgres`. */
  readonly url: string;
  readonly pid: number;
  /** An empty database of its own; answers its URL. */
  createDatabase(name: string): Promise<string>;
  /** Stops the whole server as it stands, and lets it go on: a database that does not answer. */
  pause(): void;
  resume(): void;
  /** Ends the server with SIGQUIT, without a clean shutdown. Start it again with `restart`. */
  crash(): Promise<void>;
  restart(): Promise<void>;
  stop(): Promise<void>;
}

/** `host` is the address to listen on; who connects from elsewhere is trusted as well. */
export async function startPostgres({ host = '127.0.0.1' }: { readonly host?: string } = {}): Promise<Postgres> {
  if (binaries === null) throw new Error('Postgres is not installed: apt-get install postgresql');
  const account = unprivilegedAccount();
  const folder = mkdtempSync(path.join(tmpdir(), 'ovation-postgres-'));
  if (account !== null) chownSync(folder, account.uid, account.gid);
  const options = { cwd: folder, stdio: 'ignore' as const, ...account };
  const data = path.join(folder, 'data');
  const initdb = ['-D', data, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--no-locale', '--no-sync', '--no-instructions'];
  execFileSync(path.join(binaries, 'initdb'), initdb, options);
  if (host !== '127.0.0.1') appendFileSync(path.join(data, 'pg_hba.conf'), 'host all all samenet trust\n');
  const port = await freePort(host);
  const settings = { listen_addresses: host, unix_socket_directories: '', port, fsync: 'off', full_page_writes: 'off', shared_buffers: '64MB' };
  const args = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  const url = `postgres://postgres@${host}:${port}/postgres`;

  let server: ChildProcess;
  let guard: ChildProcess | undefined;
  const start = async (): Promise<void> => {
    server = spawn(path.join(binaries, 'postgres'), ['-D', data, ...args], options);
    guard = server.pid === undefined ? undefined : startGuard(server.pid, 'QUIT');
    await untilAnswering(url);
  };
  const end = (signal: NodeJS.Signals): Promise<void> =>
    new Promise((resolve) => {
      if (server.exitCode !== null || server.signalCode !== null) return resolve();
      server.once('exit', () => {
        guard?.kill('SIGKILL');
        resolve();
      });
      server.kill(signal);
    });
  await start();

  return {
    url,
    get pid() {
      return server.pid!;
    },
    async createDatabase(name) {
      await run(url, `CREATE DATABASE "${name}"`);
      return new URL(`/${name}`, url).href;
    },
    pause: () => signalTree(server.pid!, 'SIGSTOP'),
    resume: () => signalTree(server.pid!, 'SIGCONT'),
    crash: () => end('SIGQUIT'),
    restart: start,
    async stop() {
      signalTree(server.pid!, 'SIGCONT');
      await end('SIGQUIT');
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Without vitest, because the benchmark starts a server too. */
async function untilAnswering(url: string): Promise<void> {
  for (const deadline = Date.now() + START_MS_MAX; ; ) {
    try {
      await run(url, 'SELECT 1');
      return;
    } catch (error) {
      if (Date.now() > deadline) throw error;
      await pause(20);
    }
  }
}

/** Runs one statement on a connection of its own. */
export async function run<Row extends QueryResultRow>(url: string, sql: string, parameters: unknown[] = []): Promise<Row[]> {
  const client = new Client({ connectionString: url });
  client.on('error', () => {});
  try {
    await client.connect();
    return (await client.query<Row>(sql, parameters)).rows;
  } finally {
    await client.end().catch(() => {});
  }
}

/** A backend that is not stopped would go on answering: every process of the server gets the signal. */
function signalTree(pid: number, signal: NodeJS.Signals): void {
  for (const member of [pid, ...childrenOf(pid)]) {
    try {
      process.kill(member, signal);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
    }
  }
}

function childrenOf(pid: number): number[] {
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number);
  } catch {
    // Without /proc a pause reaches the postmaster only, which is enough to refuse new connections.
    return [];
  }
}

function findBinaries(): string | null {
  try {
    const versions = readdirSync(DEBIAN_FOLDER).sort((one, other) => Number(other) - Number(one));
    if (versions[0] !== undefined) return path.join(DEBIAN_FOLDER, versions[0], 'bin');
  } catch {
    // Not a Debian: perhaps they are in the PATH.
  }
  try {
    return path.dirname(execFileSync('sh', ['-c', 'command -v initdb'], { encoding: 'utf8' }).trim());
  } catch {
    return null;
  }
}

function unprivilegedAccount(): { readonly uid: number; readonly gid: number } | null {
  if (process.getuid?.() !== 0) return null;
  const [uid, gid] = ['-u', '-g'].map((flag) => Number(execFileSync('id', [flag, 'postgres'], { encoding: 'utf8' })));
  return { uid: uid!, gid: gid! };
}

function freePort(host: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().once('error', reject);
    server.listen(0, host, () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}

/** Locks a table against everybody until the answer is called. */
export async function lockTable(url: string, table: string): Promise<() => Promise<void>> {
  const client = new Client({ connectionString: url });
  await client.connect();
  await client.query(`BEGIN; LOCK TABLE ${table} IN ACCESS EXCLUSIVE MODE`);
  return () => client.end();
}
