/** What all WebSockets of an edge share, their figures included. */

import type { StreamId } from '../../crdt/ids.ts';
import type { Timers } from '../../regions/runtime.ts';
import type { Ingest } from '../aggregator/ingest.ts';
import type { StreamState } from '../moderation/policy.ts';
import type { Authenticator } from './auth.ts';
import type { Member } from './fanout.ts';
import type { HearingTurns } from './hearing-turns.ts';
import type { EdgeLimits } from './options.ts';

export interface SocketContext {
  readonly ingest: Ingest;
  readonly authenticator: Authenticator;
  readonly limits: EdgeLimits;
  readonly stateOf: (stream: StreamId) => StreamState;
  /** Writes the newest frame to who waits for it yet. */
  readonly catchUp: (member: Member) => void;
  readonly now: () => number;
  readonly timers: Timers;
  readonly turns: HearingTurns;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly observeAckMs: (ms: number) => void;
  readonly stats: SocketStats;
  /** Whole seconds since the start, counted by the sweep: cheaper than a clock per message. */
  seconds: number;
}

export interface SocketStats {
  sockets: number;
  messages: number;
  batches: number;
  acks: number;
  refusals: number;
  malformed: number;
  rateLimited: number;
  inFlight: number;
  /** Sockets that are not read for a while, and how often that was so. */
  held: number;
  holds: number;
  closedByEdge: number;
}

export function emptyStats(): SocketStats {
  return {
    sockets: 0,
    messages: 0,
    batches: 0,
    acks: 0,
    refusals: 0,
    malformed: 0,
    rateLimited: 0,
    inFlight: 0,
    held: 0,
    holds: 0,
    closedByEdge: 0,
  };
}
