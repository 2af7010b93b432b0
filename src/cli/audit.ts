/** `ovation audit`: do all regions, the database and the acknowledgements agree about a stream? */

import { Option, type Command } from 'commander';
import { sleep } from '../../regions/runtime.ts';
import { realRuntime } from '../base/runtime.ts';
import { parseDuration, parseId } from './arguments.ts';
import { fetchBooks } from './audit/books.ts';
import { compareBooks, type Comparison, type Difference } from './audit/compare-books.ts';
import { addEndpointOptions, findEndpoints, type EndpointOptions } from './endpoints.ts';
import { ENVIRONMENT_HELP, endpointsOfEnvironment, mintOfEnvironment } from './environment.ts';
import { CommandFailure, EXIT_CODES } from './failure.ts';
import { addTokenOptions, tokenOf, type TokenOptions } from './token.ts';

interface AuditOptions extends EndpointOptions, TokenOptions {
  readonly stream: string;
  readonly wait: number;
  readonly database: boolean;
  readonly allowEmpty?: boolean;
  readonly json?: boolean;
}

/** Asked anew at each attempt: a token that is signed here does not last. */
type Token = () => Promise<string | null>;

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
    .option('--allow-empty', 'also a stream of which nothing was ever counted balances')
    .option('--json', 'print one JSON object')
    .addHelpText(
      'after',
      `
Exits with 1 when anything differs, and when nothing was ever counted, for then the name may be wrong. Warns of batches that
moved between regions and that these could not settle.

Regions that ask for tokens want a moderator's: --token-file, or their own OVATION_JWT_SECRET or OVATION_JWT_SECRET_FILE, with
which this command signs one.
${ENVIRONMENT_HELP}

Examples:
  $ ovation audit --stream demo
  $ ovation audit --stream demo --wait 10s      regions may still be catching up
  $ ovation audit --stream demo --endpoint http://127.0.0.1:8081,http://127.0.0.1:8082 --json`,
    )
    .action(runAudit);
}

async function runAudit(options: AuditOptions): Promise<void> {
  const endpoints = await findEndpoints(options, endpointsOfEnvironment());
  const token = await tokensFor(options);
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

async function tokensFor(options: AuditOptions): Promise<Token> {
  const given = tokenOf(options);
  const mint = given === null ? await mintOfEnvironment() : null;
  return async () => (mint === null ? given : mint({ viewer: 'audit', stream: options.stream, role: 'moderator' }));
}

async function auditOnce(endpoints: readonly string[], token: Token, { stream, database, allowEmpty = false }: AuditOptions): Promise<Audit> {
  const shown = await token();
  const books = await Promise.all(endpoints.map((endpoint) => fetchBooks(endpoint, stream, shown)));
  const compared = compareBooks(books, database);
  const isEmpty = compared.entryCount === 0 && compared.differences.length === 0;
  const differences = isEmpty && !allowEmpty ? [nothingIn(stream)] : compared.differences;
  return { stream, regions: books.map(({ region }) => region), ...compared, differences };
}

/** Books of nothing agree always, and say nothing of a stream whose name was mistyped. */
function nothingIn(stream: string): Difference {
  return { kind: 'empty', text: `nothing was ever counted in ${stream}: is this its name? With --allow-empty that balances` };
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
  if (differences.some(({ kind }) => kind === 'empty')) return console.log('There is nothing to balance.');
  console.log(
    balanced
      ? `The books balance: ${parties} agree on ${numbered(audit.entryCount, 'entry', 'entries')}.`
      : `The books do not balance: ${numbered(differences.length, 'difference', 'differences')}.`,
  );
}

function numbered(count: number, one: string, many: string): string {
  return `${count} ${count === 1 ? one : many}`;
}
