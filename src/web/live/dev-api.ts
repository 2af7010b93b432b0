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
  /** The folder of its nats-server, on this machine. */
  readonly nats_data: string | null;
  readonly state: 'starting' | 'running' | 'paused' | 'restarting' | 'stopped';
  /** What it is made of: "log" → "nats-server 2.9.10", and so on. */
  readonly parts: Readonly<Record<string, string>>;
  readonly restarts: number;
}

export interface LinkStatus {
  readonly from: string;
  readonly to: string;
  readonly state: 'up' | 'cut' | 'delayed' | 'half-open' | 'lossy';
  /** Added to each direction. */
  readonly delay_ms: number;
  /** The share that is lost, each way. */
  readonly loss?: number;
  /** Of a half-open link: whose words are lost. */
  readonly lost_from?: string;
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
  /** `half-open`: what `from` sends is lost. */
  readonly action: 'cut' | 'heal' | 'delay' | 'half-open' | 'lose';
  readonly delay_ms?: number;
  /** From 0 to 0.9. */
  readonly loss?: number;
  /** Heals by itself after this long. */
  readonly for_ms?: number;
}

export interface ProcessCommand {
  /** A region's id, its id with `-nats`, or `database`. */
  readonly target: string;
  /**
   * `kill`: kill -9, and it is started again. `pause` and `resume`: SIGSTOP and SIGCONT. `stop`: ends it and keeps it so until
   * `start`. `duplicate`: a second process of a region, until `resume`.
   */
  readonly action: 'kill' | 'pause' | 'resume' | 'stop' | 'start' | 'duplicate';
  /** Undone by itself after this long. */
  readonly for_ms?: number;
}

export interface DeleteStreamCommand {
  readonly region: string;
  readonly stream: 'log' | 'journal' | 'windows';
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
