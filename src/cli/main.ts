#!/usr/bin/env node
/**
 * The command line: `ovation <command>`. One file a command, each loaded only when it runs.
 *
 * Exit codes are those of `failure.ts`. Operating errors are one sentence; a stack trace is a defect.
 */

import { Command, CommanderError } from 'commander';
import { VERSION } from '../base/version.ts';
import { addAuditCommand } from './audit.ts';
import { addChaosCommand } from './chaos.ts';
import { addDevDatabaseCommand } from './dev-database.ts';
import { addDevCommand } from './dev.ts';
import { addDoctorCommand } from './doctor.ts';
import { CommandFailure, EXIT_CODES } from './failure.ts';
import { addLoadCommand } from './load.ts';
import { addMigrateCommand } from './migrate.ts';
import { addModerateCommand } from './moderate.ts';
import { addRegionCommand } from './region.ts';

const program = new Command('ovation')
  .description('Live reactions, counted exactly once in every region of the world.')
  .version(VERSION, '--version', 'print the version')
  .exitOverride()
  .showSuggestionAfterError()
  .addHelpText(
    'after',
    `
Exit codes:
  0  it worked, and the answer is yes
  1  the answer is no: the books do not balance, the region was fenced
  2  wrong options, files or configuration; the message says which
  3  a server cannot be reached

Start with:
  $ ovation dev                       three regions on this machine
  $ ovation load --viewers 200        a crowd with a known ground truth
  $ ovation chaos partition us eu --for 10s`,
  );

addDevCommand(program);
addRegionCommand(program);
addLoadCommand(program);
addAuditCommand(program);
addChaosCommand(program);
addModerateCommand(program);
addMigrateCommand(program);
addDoctorCommand(program);
addDevDatabaseCommand(program);

// Who reads us has read enough, as `head` has: no defect, and what is left to say is for nobody.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
});

try {
  await program.parseAsync();
} catch (error) {
  process.exitCode = report(error);
}

function report(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT_CODES.ok : EXIT_CODES.usage;
  if (error instanceof CommandFailure) {
    process.stderr.write(`ovation: ${error.message}\n`);
    return EXIT_CODES[error.reason];
  }
  process.stderr.write(`ovation: a defect, please report it.\n${error instanceof Error ? error.stack : String(error)}\n`);
  return EXIT_CODES.no;
}
