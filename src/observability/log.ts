/**
 * The log: one JSON line per event on standard output, with the region in each, and without secrets.
 *
 * pino's loggers are of the shape of `Log`, so what `createLog` answers is handed in everywhere.
 */

import { pino, stdSerializers, stdTimeFunctions, type DestinationStream } from 'pino';
import type { Log } from '../../regions/runtime.ts';

export interface LogSettings {
  readonly region: string;
  /** `debug`, `info`, `warn`, `error` or `silent`. */
  readonly level: string;
  /** Standard output when missing. */
  readonly destination?: DestinationStream;
}

/** Fields that must never be written, wherever callers put them: at the top, or in an object of it. */
const SECRET_FIELDS = ['token', 'authorization', 'password', 'secret', 'cookie', 'jwt', 'databaseUrl', 'database_url'];

export function createLog({ region, level, destination }: LogSettings): Log {
  return pino(
    {
      level,
      base: { region },
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      // Errors keep their message, stack and causes under either name. Ours quote their cause in the message already.
      serializers: { err: stdSerializers.errWithCause, error: stdSerializers.errWithCause },
      redact: {
        paths: SECRET_FIELDS.flatMap((field) => [field, `*.${field}`, `*.*.${field}`]),
        censor: '[redacted]',
      },
    },
    ...(destination === undefined ? [] : [destination]),
  );
}
