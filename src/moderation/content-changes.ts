/**
 * What a change of a policy document changed, key by key, for the audit trail. Pure.
 *
 * Everything written is told, also what no region heeds. Values are made such that any database takes them as JSON:
 * what JSON has no words for is told as a text, and what Postgres refuses in texts is replaced.
 */

import type { RawContent } from './policy-content.ts';

export interface ContentChange {
  /** `section/key`. */
  readonly path: string;
  /** JSON values; null where there was, or is, nothing. */
  readonly before: unknown;
  readonly after: unknown;
}

/** In the order of the sections, then of the keys. Never throws for what the gate lets in. */
export function contentChanges(before: RawContent | null, after: RawContent): ContentChange[] {
  const changes: ContentChange[] = [];
  for (const [section, now] of after) {
    const then = before?.get(section) ?? new Map<string, unknown>();
    for (const key of [...new Set([...then.keys(), ...now.keys()])].sort()) {
      const [old, fresh] = [then.get(key), now.get(key)];
      if (old === fresh) continue;
      const [was, is] = [plain(old), plain(fresh)];
      if (JSON.stringify(was) !== JSON.stringify(is)) changes.push({ path: text(`${section}/${key}`), before: was, after: is });
    }
  }
  return changes;
}

function plain(value: unknown): unknown {
  if (value === undefined || value === null) return null;
  if (typeof value === 'string') return text(value);
  if (typeof value === 'boolean' || (typeof value === 'number' && Number.isFinite(value))) return value;
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value === 'object' && !ArrayBuffer.isView(value)) {
    return Object.fromEntries(Object.entries(value).map(([name, field]) => [text(name), plain(field)]));
  }
  return text(String(value));
}

/** Postgres takes neither NUL nor half of a surrogate pair. */
function text(value: string): string {
  return value.replaceAll('\0', '\ufffd').replaceAll(/[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g, '\ufffd');
}
