/** What `ovation moderate` prints of a policy and of its changes. Pure. */

import type { MuteInForce, PolicyChange, PolicyInForce } from '../../web/console/api.ts';
import { changeText, time } from '../../web/console/words.ts';

/** What others wrote could hold commands for the terminal; here they are only seen. */
export function visible(text: string): string {
  // oxlint-disable-next-line no-control-regex
  return text.replaceAll(/[\u0000-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g, '\ufffd');
}

export function policyLines(policy: PolicyInForce & { readonly spread: number }, now: number): string[] {
  const { state, ended_at: endedAt, level, spread, limits, palette, mutes, problems } = policy;
  const ended = endedAt === null ? '' : endedAt === 0 ? ' (long ago, or by the policy file)' : ` since ${time(endedAt, now)}`;
  return [
    `state   ${state}${ended}`,
    `level   ${level ?? 'left to the region'}`,
    `spread  ${spread}`,
    ...Object.entries(limits).map(([scope, { tapsPerSecondMax, tapBurstMax }]) => `limit   ${scope}: ${tapsPerSecondMax} taps a second, ${tapBurstMax} in a burst`),
    `emoji   ${Object.entries(palette).map(([id, glyph]) => `${glyph} ${id}`).join('  ')}`,
    ...mutes.map((mute) => `${isOver(mute, now) ? 'over' : 'mute'}    ${muteText(mute, now)}`),
    ...problems.map(({ path, message }) => `not heeded: ${path}: ${message}`),
  ].map(visible);
}

export function changeLines(changes: readonly PolicyChange[], now: number): string[] {
  return changes.map(({ at, region, by, path, before, after }) => visible(`${time(Date.parse(at), now)}  ${region}  ${by} ${changeText(path, before, after, now)}`));
}

function isOver({ until, lifted_at: lifted }: MuteInForce, now: number): boolean {
  return lifted !== null || (until !== null && until <= now);
}

function muteText({ kind, id, until, by, reason, retract_from: from, at }: MuteInForce, now: number): string {
  const term = until === null ? 'for good' : until === at ? 'taken back only' : `until ${time(until, now)}`;
  const back = from === null ? [] : [`takes back since ${time(from, now)}`];
  return [`${kind} ${id}`, term, ...back, `by ${by}`, reason].filter((part) => part !== '').join(', ');
}
