/** Calls the API of `ovation dev`, which serves this page: the regions, their links, and the crowd. */

import type { CrowdCommand, DevStatus, LinkCommand } from './dev-api.ts';

export type LinkAction = Extract<LinkCommand['action'], 'cut' | 'heal' | 'delay'>;
export const DELAY_MS = 150;

const TIMEOUT_MS = 3_000;

/** Also tells that somebody watches, for without watchers the crowd goes home. @throws when the service does not answer */
export async function fetchStatus(): Promise<DevStatus> {
  return (await fetchJson('dev/status?watching')) as DevStatus;
}

/** Both directions of a link. @throws when the service does not answer */
export async function changeLink(from: string, to: string, action: LinkAction): Promise<DevStatus> {
  // A cut outlasts a delay, so it is healed first.
  if (action === 'delay') await command('dev/links', { from, to, action: 'heal' });
  return command('dev/links', { from, to, action, ...(action === 'delay' ? { delay_ms: DELAY_MS } : {}) });
}

/** @throws with what is wrong with a recording, or when the service does not answer */
export async function changeCrowd(change: CrowdCommand): Promise<DevStatus> {
  return command('dev/crowd', change);
}

async function command(url: string, body: LinkCommand | CrowdCommand): Promise<DevStatus> {
  const request = { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) };
  return (await fetchJson(url, request, TIMEOUT_MS * 5)) as DevStatus;
}

/** @throws when there is no answer in time, or not a good one; then with what the answer says */
export async function fetchJson(url: string, request: RequestInit = {}, timeoutMs = TIMEOUT_MS): Promise<unknown> {
  const response = await fetch(url, { ...request, signal: AbortSignal.timeout(timeoutMs) });
  if (response.ok) return response.json();
  const { message } = (await response.json().catch(() => ({}))) as { message?: unknown };
  throw new Error(typeof message === 'string' ? message : `${url} answered ${response.status}`);
}
