/** What the console asks its region over HTTP, and the shapes of the answers. */

import type { EmojiId } from '../../../crdt/ids.ts';
import type { ContentProblem } from '../../moderation/policy-content.ts';
import type { Policy } from '../../moderation/policy.ts';

export interface ListedStream {
  readonly stream_id: string;
  readonly state: Policy['state'];
  readonly level: string;
  readonly total: number;
  readonly rate: number;
  readonly viewers: number;
}

export interface PeerStanding {
  readonly region: string;
  readonly connected: boolean;
  readonly staleness_ms: number | null;
}

export interface Overview {
  readonly region: string;
  readonly at: number;
  readonly who: { readonly sub: string; readonly role: string; readonly streams: '*' | readonly string[] } | null;
  readonly streams: readonly ListedStream[];
  readonly peers: readonly PeerStanding[];
}

export interface FlaggedViewer {
  readonly viewer_id: string;
  readonly device_id: string | null;
  readonly standing: 'flag' | 'shadow' | 'forgiven';
  readonly score: number;
  readonly reasons: readonly string[];
  readonly since: number;
  readonly samples: number;
  readonly taps_per_second: number;
  readonly shadowed_taps: number;
  readonly cells: readonly number[];
  readonly intervals: readonly number[];
}

export interface Flagged {
  readonly cell_ms: number;
  readonly interval_classes_ms: readonly number[];
  readonly viewers: readonly FlaggedViewer[];
}

export interface PolicyInForce {
  readonly palette: Readonly<Record<EmojiId, string>>;
  readonly limits: Policy['limits'];
  readonly state: Policy['state'];
  readonly ended_at: number | null;
  readonly level: Policy['level'];
  readonly mutes: readonly MuteInForce[];
  readonly problems: readonly ContentProblem[];
}

export interface MuteInForce {
  readonly kind: 'viewer' | 'device';
  readonly id: string;
  readonly until: number | null;
  readonly by: string;
  readonly reason: string;
  readonly retract_from: number | null;
  readonly at: number;
  readonly lifted_at: number | null;
}

export interface PolicyChange {
  readonly id: string;
  readonly at: string;
  readonly region: string;
  readonly by: string;
  readonly path: string;
  readonly before: unknown;
  readonly after: unknown;
}

/** The region answered and said no. */
export class Refused extends Error {
  override readonly name = 'Refused';
  readonly status: number;

  constructor(status: number, detail: string) {
    super(detail);
    this.status = status;
  }
}

export interface Api {
  overview(): Promise<Overview>;
  flagged(stream: string): Promise<Flagged>;
  policy(document: string): Promise<PolicyInForce>;
  changes(document: string): Promise<{ readonly changes: readonly PolicyChange[] }>;
}

const ANSWER_MS_MAX = 6_000;

/** `base` ends with a slash. The calls reject with Refused, or with any other error when the region cannot be reached. */
export function createApi(base: string, token: () => string | null): Api {
  async function get<Answer>(path: string): Promise<Answer> {
    const shown = token();
    const response = await fetch(base + path, {
      headers: shown === null ? {} : { authorization: `Bearer ${shown}` },
      signal: AbortSignal.timeout(ANSWER_MS_MAX),
      credentials: 'omit',
    });
    const body = (await response.json().catch(() => ({}))) as { readonly detail?: unknown };
    if (!response.ok) throw new Refused(response.status, typeof body.detail === 'string' ? body.detail : `The region answered ${response.status}.`);
    return body as Answer;
  }
  return {
    overview: () => get('streams'),
    flagged: (stream) => get(`streams/${encodeURIComponent(stream)}/flagged`),
    policy: (document) => get(`control/${document}/policy`),
    changes: (document) => get(`control/${document}/changes?limit=50`),
  };
}
