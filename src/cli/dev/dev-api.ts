/**
 * The dev API: what a running `ovation dev` tells and obeys. Types shared by its server, by the
 * commands that call it, and (by shape) by the live page.
 */

import { CommandFailure, describeError } from '../failure.ts';

export interface RegionStatus {
  readonly id: string;
  readonly api: string;
  readonly admin: string | null;
  readonly pid: number | null;
  readonly nats_pid: number | null;
  readonly state: 'starting' | 'running' | 'restarting' | 'stopped';
  /** What it is made of: "log" → "nats-server 2.9.10", and so on. */
  readonly parts: Readonly<Record<string, string>>;
  readonly restarts: number;
}

export interface LinkStatus {
  readonly from: string;
  readonly to: string;
  readonly state: 'up' | 'cut' | 'delayed';
  /** Added to each direction. */
  readonly delay_ms: number;
}

/** Of the crowd that the live page can start. Taps are those of the present crowd. */
export interface CrowdStatus {
  readonly mode: 'off' | 'random' | 'replay';
  readonly stream: string | null;
  /** As asked for; 0 for a recording. */
  readonly taps_per_second: number;
  readonly viewers: number;
  readonly tapped: number;
  readonly acknowledged: number;
  readonly clamped: number;
  readonly refused: number;
  readonly replay: { readonly name: string; readonly speed: number; readonly at_ms: number; readonly length_ms: number } | null;
  /** Why the last crowd ended early, or null. */
  readonly problem: string | null;
}

export interface DevStatus {
  readonly regions: readonly RegionStatus[];
  /** One for each pair of regions; both directions behave alike. */
  readonly links: readonly LinkStatus[];
  /** What the windows are stored in. */
  readonly database: string;
  readonly crowd: CrowdStatus;
}

export interface LinkCommand {
  /** A region, or `*` for all links. */
  readonly from: string;
  readonly to: string;
  readonly action: 'cut' | 'heal' | 'delay';
  readonly delay_ms?: number;
  /** Heals by itself after this long. */
  readonly for_ms?: number;
}

export interface KillCommand {
  /** A region's id, or its id with `-nats`. */
  readonly target: string;
}

export interface ReplayCommand {
  /** `t_ms,viewer,emoji,count` with that header; a built-in recording when left out. */
  readonly csv?: string;
  readonly name?: string;
  readonly speed?: number;
}

/** Taps a second over all regions, 0 to end any crowd; or a recording. The stream is `demo` unless said. */
export type CrowdCommand =
  | { readonly stream?: string; readonly taps_per_second: number }
  | { readonly stream?: string; readonly replay: ReplayCommand };

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
