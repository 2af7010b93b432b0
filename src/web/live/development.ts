/** The API of `ovation dev`, which serves this page: which regions there are, and their links. */

export interface RegionStatus {
  readonly id: string;
  /** `http://host:port` of the region's own API. */
  readonly api: string;
}

export type LinkState = 'up' | 'cut' | 'delayed';

export interface LinkStatus {
  readonly from: string;
  readonly to: string;
  readonly state: LinkState;
  readonly delay_ms: number;
}

export interface Status {
  readonly regions: readonly RegionStatus[];
  readonly links: readonly LinkStatus[];
}

const TIMEOUT_MS = 3_000;

/** @throws when the service does not answer */
export async function fetchStatus(): Promise<Status> {
  return (await fetchJson('dev/status')) as Status;
}

/** Cuts or heals both directions of a link. @throws when the service does not answer */
export async function changeLink(from: string, to: string, action: 'cut' | 'heal'): Promise<void> {
  await fetchJson('dev/links', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ from, to, action }),
  });
}

/** @throws when there is no answer in time, or not a good one */
export async function fetchJson(url: string, request: RequestInit = {}): Promise<unknown> {
  const response = await fetch(url, { ...request, signal: AbortSignal.timeout(TIMEOUT_MS) });
  if (!response.ok) throw new Error(`${url} answered ${response.status}`);
  return response.json();
}
