/** The API of `ovation dev`, which serves this page: the regions, their links, and the crowd. */

export interface RegionStatus {
  readonly id: string;
  /** `http://host:port` of the region's own API. */
  readonly api: string;
}

export interface LinkStatus {
  readonly from: string;
  readonly to: string;
  readonly state: 'up' | 'cut' | 'delayed';
  readonly delay_ms: number;
}

export interface CrowdStatus {
  readonly mode: 'off' | 'random' | 'replay';
  readonly stream: string | null;
  readonly taps_per_second: number;
  readonly viewers: number;
  readonly tapped: number;
  readonly acknowledged: number;
  readonly clamped: number;
  readonly refused: number;
  readonly replay: { readonly name: string; readonly speed: number; readonly at_ms: number; readonly length_ms: number } | null;
  readonly problem: string | null;
}

export interface Status {
  readonly regions: readonly RegionStatus[];
  readonly links: readonly LinkStatus[];
  readonly crowd: CrowdStatus;
}

export type CrowdCommand =
  | { readonly stream: string; readonly taps_per_second: number }
  | { readonly stream: string; readonly replay: { readonly csv?: string; readonly name?: string; readonly speed: number } };

export type LinkAction = 'heal' | 'delay' | 'cut';
export const DELAY_MS = 150;

const TIMEOUT_MS = 3_000;

/** Also tells that somebody watches, for without watchers the crowd goes home. @throws when the service does not answer */
export async function fetchStatus(): Promise<Status> {
  return (await fetchJson('dev/status?watching')) as Status;
}

/** Both directions of a link. @throws when the service does not answer */
export async function changeLink(from: string, to: string, action: LinkAction): Promise<Status> {
  // A cut outlasts a delay, so it is healed first.
  if (action === 'delay') await command('dev/links', { from, to, action: 'heal' });
  return command('dev/links', { from, to, action, ...(action === 'delay' ? { delay_ms: DELAY_MS } : {}) });
}

/** @throws with what is wrong with a recording, or when the service does not answer */
export async function changeCrowd(change: CrowdCommand): Promise<Status> {
  return command('dev/crowd', change);
}

async function command(url: string, body: object): Promise<Status> {
  const request = { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) };
  return (await fetchJson(url, request, TIMEOUT_MS * 5)) as Status;
}

/** @throws when there is no answer in time, or not a good one; then with what the answer says */
export async function fetchJson(url: string, request: RequestInit = {}, timeoutMs = TIMEOUT_MS): Promise<unknown> {
  const response = await fetch(url, { ...request, signal: AbortSignal.timeout(timeoutMs) });
  if (response.ok) return response.json();
  const { message } = (await response.json().catch(() => ({}))) as { message?: unknown };
  throw new Error(typeof message === 'string' ? message : `${url} answered ${response.status}`);
}
