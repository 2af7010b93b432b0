/** Calls the dev API of a running `ovation dev`. */

import type { CrowdCommand, DeleteStreamCommand, DevStatus, LinkCommand, ProcessCommand } from '../../web/live/dev-api.ts';
import { CommandFailure, EXIT_CODES, describeError, type ExitReason } from '../failure.ts';

const ANSWER_MS_MAX = 10_000;
/** A process that is told to end may have something to hand over; a second one has to start. */
const PROCESS_MS_MAX = 60_000;

export interface DevClient {
  status(): Promise<DevStatus>;
  /** Answers the status afterwards. */
  link(command: LinkCommand): Promise<DevStatus>;
  process(command: ProcessCommand): Promise<DevStatus>;
  deleteStream(command: DeleteStreamCommand): Promise<DevStatus>;
  crowd(command: CrowdCommand): Promise<DevStatus>;
}

/** Its calls throw CommandFailure. */
export function createDevClient(url: string): DevClient {
  return {
    status: () => call(`${url}/dev/status`),
    link: (command) => call(`${url}/dev/links`, command),
    process: (command) => call(`${url}/dev/processes`, command, PROCESS_MS_MAX),
    deleteStream: (command) => call(`${url}/dev/streams/delete`, command),
    crowd: (command) => call(`${url}/dev/crowd`, command),
  };
}

async function call(url: string, body?: object, answerMsMax = ANSWER_MS_MAX): Promise<DevStatus> {
  let response: Response;
  let document: unknown;
  try {
    response = await fetch(url, {
      signal: AbortSignal.timeout(answerMsMax),
      ...(body === undefined
        ? {}
        : { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
    });
    document = await response.json();
  } catch (error) {
    throw new CommandFailure('unreachable', `no \`ovation dev\` answers at ${url} (${describeError(error)})`);
  }
  if (!response.ok) throw refusalOf(url, response.status, document as Refusal);
  return document as DevStatus;
}

interface Refusal {
  readonly message?: string;
  /** What kind of no it is, of a command that was understood. */
  readonly reason?: string;
}

function refusalOf(url: string, status: number, { message = `${url}: ${status}`, reason = '' }: Refusal): CommandFailure {
  const kind = Object.hasOwn(EXIT_CODES, reason) ? (reason as ExitReason) : status >= 500 ? 'unreachable' : 'usage';
  return new CommandFailure(kind, message);
}
