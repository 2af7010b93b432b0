/** Calls the dev API of a running `ovation dev`. */

import type { CrowdCommand, DevStatus, KillCommand, LinkCommand } from '../../web/live/dev-api.ts';
import { CommandFailure, describeError } from '../failure.ts';

const ANSWER_MS_MAX = 10_000;

export interface DevClient {
  status(): Promise<DevStatus>;
  /** Answers the status afterwards. */
  link(command: LinkCommand): Promise<DevStatus>;
  kill(command: KillCommand): Promise<DevStatus>;
  crowd(command: CrowdCommand): Promise<DevStatus>;
}

/** Its calls throw CommandFailure. */
export function createDevClient(url: string): DevClient {
  return {
    status: () => call(`${url}/dev/status`),
    link: (command) => call(`${url}/dev/links`, command),
    kill: (command) => call(`${url}/dev/kill`, command),
    crowd: (command) => call(`${url}/dev/crowd`, command),
  };
}

async function call(url: string, body?: object): Promise<DevStatus> {
  let response: Response;
  let document: unknown;
  try {
    response = await fetch(url, {
      signal: AbortSignal.timeout(ANSWER_MS_MAX),
      ...(body === undefined
        ? {}
        : { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
    });
    document = await response.json();
  } catch (error) {
    throw new CommandFailure('unreachable', `no \`ovation dev\` answers at ${url} (${describeError(error)})`);
  }
  if (!response.ok) throw new CommandFailure('usage', (document as { message?: string }).message ?? `${url}: ${response.status}`);
  return document as DevStatus;
}
