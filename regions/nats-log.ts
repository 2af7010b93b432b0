/** Placeholder head; the adapters follow. */

/** The stream that holds a region's log; peers may read it and nothing else. */
export function logStream(region: string): string {
  return `LOG_${region}`;
}
