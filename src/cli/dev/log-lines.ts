/** The regions' log lines, JSON for machines, as one short line for a person who watches dev. Pure. */

const FIELDS_HIDDEN = new Set(['level', 'time', 'region', 'msg', 'pid', 'hostname', 'err', 'error']);

/** A line that is no JSON passes unchanged. */
export function formatLogLine(line: string): string {
  const fields = parse(line);
  if (fields === null) return line.trimEnd();
  const details = Object.entries(fields)
    .filter(([name]) => !FIELDS_HIDDEN.has(name))
    .map(([name, value]) => `${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`);
  const failure = fields['err'] ?? fields['error'];
  if (typeof failure === 'object' && failure !== null && 'message' in failure) details.push(`(${String(failure.message)})`);
  return [fields['region'], fields['level'], fields['msg'], ...details].filter((part) => part !== undefined).join(' ');
}

function parse(line: string): Record<string, unknown> | null {
  if (!line.startsWith('{')) return null;
  try {
    return JSON.parse(line) as Record<string, unknown>;
  } catch {
    return null;
  }
}
