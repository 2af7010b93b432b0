/**
 * The house keeps its own rules: `docs/SPEC.md` and the test names are in step, pure files are pure, the
 * environment is read in one place, files say what they are, and links lead somewhere.
 */

import { existsSync, readFileSync, readdirSync, statSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';

const ROOT = path.resolve(import.meta.dirname, '..');
const SOURCES = ['crdt', 'regions', 'src'].flatMap(filesBelow);
const CODE = SOURCES.filter((file) => /\.(ts|css|sql)$/.test(file));
const DOCUMENTS = ['README.md', ...filesBelow('docs').filter((file) => file.endsWith('.md'))];

/** What decides and does nothing else: the same input gives the same output, whenever and wherever. */
const PURE = [
  'crdt/',
  'regions/claims.ts',
  'regions/continuity.ts',
  'regions/heartbeat.ts',
  'regions/subjects.ts',
  'src/aggregator/changed-cells.ts',
  'src/aggregator/claim-rules.ts',
  'src/aggregator/claim-works.ts',
  'src/aggregator/claims-horizon.ts',
  'src/aggregator/claims.ts',
  'src/aggregator/own-counts.ts',
  'src/aggregator/sessions.ts',
  'src/aggregator/step.ts',
  'src/aggregator/shard-state.ts',
  'src/aggregator/retraction.ts',
  'src/aggregator/checks.ts',
  'src/aggregator/contribution-cell.ts',
  'src/aggregator/contribution-search.ts',
  'src/aggregator/contributions.ts',
  'src/aggregator/look-ahead.ts',
  'src/analytics/window-codec.ts',
  'src/analytics/window-rows.ts',
  'src/analytics/windows.ts',
  'src/antispam/',
  'src/base/slot-table.ts',
  'src/broadcaster/degradation.ts',
  'src/broadcaster/frame.ts',
  'src/broadcaster/lateness.ts',
  'src/broadcaster/recent-streams.ts',
  'src/broadcaster/smoothing.ts',
  'src/cli/audit/compare-books.ts',
  'src/cli/load/session.ts',
  'src/cli/load/verdict.ts',
  'src/cli/moderate/words.ts',
  'src/client/echo.ts',
  'src/client/options.ts',
  'src/client/outbox.ts',
  'src/client/reconnect.ts',
  'src/client/session.ts',
  'src/client/tap-limit.ts',
  'src/client/overlay/particles.ts',
  'src/client/overlay/spawn-plan.ts',
  'src/edge/msgpack-depth.ts',
  'src/hot-store/commit-codec.ts',
  'src/moderation/content-changes.ts',
  'src/moderation/policy-content.ts',
  'src/moderation/policy.ts',
  'src/protocol/',
  'src/web/console/words.ts',
  'src/web/live/books.ts',
  'src/web/live/continents.ts',
  'src/web/live/crowd-scale.ts',
  'src/web/live/sparkline.ts',
  'src/web/live/world.ts',
];
const IMPURE =
  /\b(?:await|async)\b|\b(?:Date\.now|Math\.random|setTimeout|setInterval|setImmediate)\b|\bnew Date\(\)|\b(?:performance|process|globalThis|crypto)\./;

function filesBelow(folder: string): string[] {
  return readdirSync(path.join(ROOT, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(ROOT, path.join(entry.parentPath, entry.name)))
    .sort();
}

function read(file: string): string {
  return readFileSync(path.join(ROOT, file), 'utf8');
}

/** Lines stay, so that what is found has its number. */
function withoutComments(code: string): string {
  return code.replaceAll(/\/\*.*?\*\/|(?<!:)\/\/[^\n]*/gs, (comment) => comment.replaceAll(/[^\n]/g, ''));
}

/** The lines of a file that match, as `file:line text`. */
function linesOf(file: string, text: string, pattern: RegExp): string[] {
  return text.split('\n').flatMap((line, index) => (pattern.test(line) ? [`${file}:${index + 1} ${line.trim()}`] : []));
}

function idsIn(text: string, pattern: RegExp): string[] {
  return [...text.matchAll(pattern)].map((match) => match[1]!);
}

/** The ids of the specification, in its order. */
const rules = idsIn(read('docs/SPEC.md'), /^\| ([A-Z][A-Z0-9]*-\d+) \|/gm);
/** An id in brackets at the start of a text is the start of a test's name. */
const tested = new Set(filesBelow('test').flatMap((file) => idsIn(read(file), /(?<=['"`]|\] )\[([A-Z][A-Z0-9]*-\w+)\]/g)));

test('[HOUSE-1] every rule has a number of its own, says something, and is enforced by a test', () => {
  expect(rules.length).toBeGreaterThan(100);
  expect(rules.filter((id, index) => rules.indexOf(id) !== index)).toEqual([]);
  expect(rules.filter((id) => !tested.has(id))).toEqual([]);
  const rows = read('docs/SPEC.md').split('\n').filter((line) => /^\| [A-Z][A-Z0-9]*-\d/.test(line));
  expect(rows.filter((row) => !/^\| \S+ \| [^|]{20,}\.(?: \||`) *[^|]{5,} \|$/.test(row))).toEqual([]);
});

test('[HOUSE-1] every id in a test name, in the source and in the documents is a rule', () => {
  expect([...tested].filter((id) => !rules.includes(id))).toEqual([]);
  const rooms = [...new Set(rules.map((id) => id.split('-')[0]!))];
  const mention = new RegExp(`\\b((?:${rooms.join('|')})-\\d+)\\b`, 'g');
  const unknown = [...CODE, ...DOCUMENTS].flatMap((file) =>
    idsIn(read(file), mention).flatMap((id) => (rules.includes(id) ? [] : [`${file}: ${id}`])),
  );
  expect(unknown).toEqual([]);
});

test('[HOUSE-2] pure files neither wait nor reach for clock, timers, randomness or process', () => {
  const pure = CODE.filter((file) => PURE.some((name) => file === name || (name.endsWith('/') && file.startsWith(name))));
  // A file that was renamed must not fall out of the list.
  expect(PURE.filter((name) => !pure.some((file) => file.startsWith(name)))).toEqual([]);
  expect(pure.flatMap((file) => linesOf(file, withoutComments(read(file)), IMPURE))).toEqual([]);
});

test('[HOUSE-3] the environment is read in src/config.ts alone', () => {
  const others = CODE.filter((file) => file !== 'src/config.ts');
  const environment = /\bprocess\.env\b|\benv\b[^;]*\bfrom 'node:process'/;
  expect(linesOf('src/config.ts', read('src/config.ts'), environment)).not.toEqual([]);
  expect(others.flatMap((file) => linesOf(file, withoutComments(read(file)), environment))).toEqual([]);
});

test('[HOUSE-4] every source file begins by saying what it is', () => {
  const opening = /^(?:#![^\n]*\n)?(?:\/\*\*?\s+(?:\* )?\S|-- \S)/;
  expect(CODE.filter((file) => !opening.test(read(file)))).toEqual([]);
});

test('[HOUSE-5] relative links in the documents lead to files, and their anchors to headings', () => {
  const broken = DOCUMENTS.flatMap((document) =>
    idsIn(read(document).replaceAll(/^```.*?^```/gms, ''), /\]\(([^)\s]+)\)/g)
      .filter((link) => !/^[a-z]+:/.test(link) && !leadsSomewhere(document, link))
      .map((link) => `${document}: ${link}`),
  );
  expect(broken).toEqual([]);
});

function leadsSomewhere(document: string, link: string): boolean {
  const [target = '', anchor] = link.split('#');
  const file = target === '' ? document : path.join(path.dirname(document), target);
  if (!existsSync(path.join(ROOT, file))) return false;
  if (anchor === undefined || statSync(path.join(ROOT, file)).isDirectory()) return anchor === undefined;
  return idsIn(read(file), /^#+ (.+)$/gm).some((heading) => anchorOf(heading) === anchor);
}

/** As the usual renderers make it: lower case, without punctuation, hyphens for spaces. */
function anchorOf(heading: string): string {
  return heading.toLowerCase().replaceAll(/[^\p{L}\p{N} _-]/gu, '').replaceAll(' ', '-');
}
