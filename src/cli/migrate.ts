/** `ovation migrate`: brings the database of windows to this build's schema. Safe to run at any time, by many. */

import type { Command } from 'commander';
import { MigrationDrift, MigrationFailed, migrate } from '../analytics/migrate.ts';
import { WindowStoreUnavailable } from '../analytics/window-store.ts';
import { InvalidConfig, readDatabaseUrl } from '../config.ts';
import { CommandFailure, EXIT_CODES, type ExitReason } from './failure.ts';

export interface MigrateCommandOptions {
  readonly databaseUrl: string | null;
  readonly json: boolean;
  /** Takes one line of the answer. */
  readonly write: (line: string) => void;
}

export function addMigrateCommand(program: Command): void {
  program
    .command('migrate')
    .description("Bring the database of windows to this build's schema. Safe at any time, and by many at once.")
    .option('--database-url <url>', 'postgres:// URL (default: OVATION_DATABASE_URL or OVATION_DATABASE_URL_FILE)')
    .option('--json', 'print one JSON object')
    .addHelpText(
      'after',
      `
Examples:
  $ OVATION_DATABASE_URL=postgres://ovation@db.example.org/ovation ovation migrate
  $ OVATION_DATABASE_URL_FILE=/run/secrets/database-url ovation migrate --json`,
    )
    .action(async (options: { readonly databaseUrl?: string; readonly json?: boolean }) => {
      process.exitCode = await migrateCommand({
        databaseUrl: databaseUrlOf(options.databaseUrl),
        json: options.json ?? false,
        write: (line) => console.log(line),
      });
    });
}

function databaseUrlOf(given: string | undefined): string | null {
  try {
    return given === undefined ? readDatabaseUrl() : readDatabaseUrl({ OVATION_DATABASE_URL: given });
  } catch (error) {
    if (error instanceof InvalidConfig) throw new CommandFailure('usage', error.message);
    throw error;
  }
}

/** Answers the exit code. @throws CommandFailure instead, when the answer is not JSON */
export async function migrateCommand({ databaseUrl, json, write }: MigrateCommandOptions): Promise<number> {
  const fail = (reason: ExitReason, error: string, detail: string): number => {
    if (!json) throw new CommandFailure(reason, detail);
    write(JSON.stringify({ error, detail }));
    return EXIT_CODES[reason];
  };
  if (databaseUrl === null) return fail('usage', 'InvalidConfig', 'set OVATION_DATABASE_URL to the database of windows');
  try {
    const { applied, present } = await migrate(databaseUrl);
    if (json) write(JSON.stringify({ applied, present }));
    else if (applied.length === 0) write(`Up to date: ${present.length} migrations.`);
    else for (const name of applied) write(`Applied ${name}`);
    return EXIT_CODES.ok;
  } catch (error) {
    if (error instanceof WindowStoreUnavailable) return fail('unreachable', error.name, `the database does not answer: ${error.message}`);
    if (error instanceof MigrationDrift || error instanceof MigrationFailed) return fail('no', error.name, error.message);
    throw error;
  }
}
