/**
 * Health: may this process live, and may it be given traffic. Pure but for the list of checks.
 *
 * Live: a restart would not help. Ready: it takes taps and shows frames. Draining makes it unready
 * first, so that a load balancer leaves before the sockets close.
 */

/** Null when all is well, otherwise why not, as a sentence. */
export type Check = () => string | null;

export interface HealthReport {
  readonly ok: boolean;
  /** Check → why it failed. */
  readonly reasons: Readonly<Record<string, string>>;
}

export interface Health {
  addLiveness(name: string, check: Check): void;
  addReadiness(name: string, check: Check): void;
  /** From now on not ready; there is no way back. */
  drain(): void;
  liveness(): HealthReport;
  readiness(): HealthReport;
}

export function createHealth(): Health {
  const live = new Map<string, Check>();
  const ready = new Map<string, Check>();
  return {
    addLiveness: (name, check) => void live.set(name, check),
    addReadiness: (name, check) => void ready.set(name, check),
    drain: () => void ready.set('drain', () => 'the region is stopping and takes no new traffic'),
    liveness: () => report(live),
    // What is not alive is not ready either.
    readiness: () => report(new Map([...live, ...ready])),
  };
}

function report(checks: ReadonlyMap<string, Check>): HealthReport {
  const reasons: Record<string, string> = {};
  for (const [name, check] of checks) {
    const reason = run(check);
    if (reason !== null) reasons[name] = reason;
  }
  return { ok: Object.keys(reasons).length === 0, reasons };
}

/** A check that throws has found something wrong, and must not take the answer with it. */
function run(check: Check): string | null {
  try {
    return check();
  } catch (error) {
    return `the check itself failed: ${String(error)}`;
  }
}
