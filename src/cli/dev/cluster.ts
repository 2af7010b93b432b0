/** The regions of a dev, whatever they run on. Two kinds: `nats-cluster.ts` and `embedded-cluster.ts`. */

import type { RegionStatus } from '../../web/live/dev-api.ts';
import type { Links } from './links.ts';
import type { Breakable } from './processes.ts';

export interface RegionPlan {
  readonly id: string;
  readonly port: number;
  readonly adminPort: number;
}

export interface ClusterPlan {
  readonly regions: readonly RegionPlan[];
  readonly shards: number;
  /** Where regions keep what they keep. */
  readonly folder: string;
  readonly databaseUrl: string;
  readonly databaseName: string;
  readonly logLevel: string;
}

export interface Cluster extends Breakable {
  readonly links: Links;
  regions(): RegionStatus[];
  stop(): Promise<void>;
}

/** What every region of a dev is configured with, as its environment. */
export function regionEnvironment(plan: ClusterPlan, region: RegionPlan, topologyFile: string): Record<string, string> {
  return {
    OVATION_REGION: region.id,
    OVATION_TOPOLOGY: topologyFile,
    OVATION_HOST: '127.0.0.1',
    OVATION_PORT: String(region.port),
    OVATION_ADMIN_PORT: String(region.adminPort),
    OVATION_SHARDS: String(plan.shards),
    OVATION_DATABASE_URL: plan.databaseUrl,
    OVATION_LOG_LEVEL: plan.logLevel,
    // Whoever ends a dev does not want to wait.
    OVATION_DRAIN_SECONDS: '0',
  };
}
