/** `ovation audit`: do all regions, the database and the acknowledgements agree about a stream? */

import { Option, type Command } from 'commander';
import { sleep } from '../../regions/runtime.ts';
import { realRuntime } from '../base/runtime.ts';
import { parseDuration, parseId } from './arguments.ts';
import { fetchBooks } from './audit/books.ts';
import { compareBooks, type Comparison } from './audit/compare-books.ts';
import { addEndpointOptions, findEndpoints, type EndpointOptions } from './endpoints.ts';
import { CommandFailure, EXIT_CODES } from './failure.ts';
import { addTokenOptions, tokenOf, type TokenOptions } from './token.ts';

interface AuditOptions extends EndpointOptions, TokenOptions {
  readonly stream: string;
  readonly wait: number;
  readonly database: boolean;
  readonly json?: boolean;
}

interface Audit extends Comparison {
  readonly stream: string;
  readonly regions: readonly string[];
}

const RETRY_MS = 500;
const DIFFERENCES_SHOWN_MAX = 40;

export function addAuditCommand(program: Command): void {
  const command = program
    .command('audit')
    .description('Compare the books of a stream: every region, the database, the acknowledgements.')
    .requiredOption('--stream <id>', 'the stream to audit', parseId);
  addTokenOptions(addEndpointOptions(command))
    .addOption(new Option('--wait <duration>', 'try again until all agree, at most this long').argParser(parseDuration).default(0, 'once'))
    .option('--no-database', 'do not compare with the database')
    .option('--json', 'print one JSON object')
    .addHelpText(
      'after',
      `
Exits with 1 when anything differs. Warns of batches that moved between regions and that these could not settle.

Examples:
  $ ovation audit --stream demo
  $ ovation audit --stream demo --wait 10s      regions may still be catching up
  $ ovation audit --stream demo --endpoint http://127.0.0.1:8081,http://127.0.0.1:8082 --json`,
    )
    .action(runAudit);
}

async function runAudit(options: AuditOptions): Promise<void> {
  const endpoints = await findEndpoints(options);
  const token = tokenOf(options);
  const until = realRuntime.clock.now() + options.wait;
  for (;;) {
    const audit = await auditOnce(endpoints, token, options).catch((error: unknown) => {
      // A region that is being restarted answers later, as one that is catching up agrees later.
      if (isUnreachable(error) && realRuntime.clock.now() < until) return null;
      throw error;
    });
    if (audit !== null && (audit.differences.length === 0 || realRuntime.clock.now() >= until)) return finish(audit, options);
    await sleep(realRuntime.timers, RETRY_MS);
  }
}

function isUnreachable(error: unknown): boolean {
  return error instanceof CommandFailure && error.reason === 'unreachable';
}

function finish(audit: Audit, options: AuditOptions): void {
  print(audit, options);
  if (audit.differences.length > 0) process.exitCode = EXIT_CODES.no;
}

async function auditOnce(endpoints: readonly string[], token: string | null, { stream, database }: AuditOptions): Promise<Audit> {
  const books = await Promise.all(endpoints.map((endpoint) => fetchBooks(endpoint, stream, token)));
  return { stream, regions: books.map(({ region }) => region), ...compareBooks(books, database) };
}

function print({ differences, ...audit }: Audit, { json, database }: AuditOptions): void {
  const balanced = differences.length === 0;
  if (json) {
    console.log(JSON.stringify({ balanced, ...audit, differences }));
    return;
  }
  const totals = Object.entries(audit.totals).map(([emoji, total]) => `${emoji} ${total}`);
  console.log(`${audit.stream}: ${numbered(audit.total, 'tap', 'taps')}${totals.length === 0 ? '' : ` (${totals.join(', ')})`}`);
  for (const warning of audit.warnings) console.log(`  warning: ${warning}`);
  for (const { text } of differences.slice(0, DIFFERENCES_SHOWN_MAX)) console.log(`  ${text}`);
  if (differences.length > DIFFERENCES_SHOWN_MAX) console.log(`  … and ${differences.length - DIFFERENCES_SHOWN_MAX} more`);
  const parties = [...audit.regions, ...(database ? ['the database'] : [])].join(', ');
  console.log(
    balanced
      ? `The books balance: ${parties} agree on ${numbered(audit.entryCount, 'entry', 'entries')}.`
      : `The books do not balance: ${numbered(differences.length, 'difference', 'differences')}.`,
  );
}

function numbered(count: number, one: string, many: string): string {
  return `${count} ${count === 1 ? one : many}`;
}
