/**
 * The dev API: what a running `ovation dev` tells and obeys. Types shared by its server, by the commands
 * that call it, and by the live page.
 */

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
