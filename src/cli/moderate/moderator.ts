/**
 * A moderator for the length of one command: asks the region who it is talking to, edits a policy document, and
 * waits until the region has it. Every failure is one sentence and an exit code.
 */

import { WebSocket } from 'ws';
import * as Y from 'yjs';
import { realRuntime } from '../../base/runtime.ts';
import { InvalidEdit, type Decision } from '../../moderation/policy-doc.ts';
import { SyncRefused, syncDocument, type SyncSocket } from '../../moderation/sync-client.ts';
import { CLOSE_CODES } from '../../protocol/close-codes.ts';
import { findEndpoints, type EndpointOptions } from '../endpoints.ts';
import { endpointsOfEnvironment } from '../environment.ts';
import { CommandFailure, describeError } from '../failure.ts';
import { tokenOf, type TokenOptions } from '../token.ts';

export interface ModeratorOptions extends EndpointOptions, TokenOptions {
  readonly by?: string;
  readonly wait: number;
  readonly json?: boolean;
}

export interface Region {
  readonly endpoint: string;
  readonly token: string | null;
  /** Its name. */
  readonly region: string;
  /** Who decides, and when by the region's clock. */
  readonly decision: Decision;
}

/** @throws CommandFailure */
export async function findRegion(options: ModeratorOptions): Promise<Region> {
  const endpoint = (await findEndpoints(options, endpointsOfEnvironment()))[0]!;
  const token = tokenOf(options);
  const { region, at, who } = await ask<{ region: string; at: number; who: { sub: string } | null }>(endpoint, '/streams?limit=1', token);
  return { endpoint, token, region, decision: { by: options.by ?? who?.sub ?? 'anybody', at } };
}

/** @throws CommandFailure */
export async function ask<Answer>(endpoint: string, path: string, token: string | null): Promise<Answer> {
  let response: Response;
  let body: unknown;
  try {
    response = await fetch(endpoint + path, {
      headers: token === null ? {} : { authorization: `Bearer ${token}` },
      signal: AbortSignal.timeout(10_000),
    });
    body = await response.json();
  } catch (error) {
    throw new CommandFailure('unreachable', `${endpoint} cannot be reached: ${describeError(error)}`, { cause: error });
  }
  if (response.ok) return body as Answer;
  const { detail } = body as { readonly detail?: unknown };
  const text = typeof detail === 'string' ? detail : `it answered ${response.status}`;
  throw new CommandFailure(response.status >= 500 ? 'unreachable' : 'usage', `${endpoint} refuses: ${text}`);
}

/**
 * Edits the document and waits until the region has taken it, `waitMs` at most. Returns what `edit` returned.
 * @throws CommandFailure
 */
export async function editDocument<Result>(
  { endpoint, token }: Region,
  document: string,
  waitMs: number,
  edit: (doc: Y.Doc) => Result,
): Promise<Result> {
  const doc = new Y.Doc();
  let giveUp: (error: CommandFailure) => void = () => {};
  const failed = new Promise<never>((_resolve, reject) => (giveUp = reject));
  failed.catch(() => {});
  let isEdited = false;
  const sync = syncDocument({
    doc,
    url: `${endpoint.replace(/^http/, 'ws')}/control/${document}`,
    token: () => token,
    open: (url, protocols) => new WebSocket(url, protocols) as unknown as SyncSocket,
    runtime: realRuntime,
    onChange: () => {
      // Before the edit there is nothing to be kept, and whoever typed the command can try again.
      if (!isEdited && sync.state.kind === 'offline') giveUp(new CommandFailure('unreachable', `${endpoint}: ${sync.state.reason}`));
    },
  });
  const stopWaiting = realRuntime.timers.after(waitMs, () =>
    giveUp(
      new CommandFailure(
        'unreachable',
        isEdited ? `${endpoint} did not confirm in time; look with "show" whether it took the change` : `${endpoint} does not answer`,
      ),
    ),
  );
  try {
    await Promise.race([sync.settled(), failed]);
    const result = edit(doc);
    isEdited = true;
    await Promise.race([sync.settled(), failed]);
    return result;
  } catch (error) {
    if (error instanceof SyncRefused) throw refusalOf(endpoint, error);
    if (error instanceof InvalidEdit) throw new CommandFailure('usage', error.message);
    throw error;
  } finally {
    stopWaiting();
    sync.stop();
  }
}

function refusalOf(endpoint: string, { code, message }: SyncRefused): CommandFailure {
  const isToken = code === CLOSE_CODES.unauthenticated || code === CLOSE_CODES.forbidden;
  return new CommandFailure(isToken ? 'usage' : 'no', `${endpoint} refuses: ${message}`);
}
