/** Policies that mute, as they follow from one decision of each viewer and device. */

import { effectiveMutes, retractionsOf, type MuteRecord } from '../../src/moderation/mutes.ts';
import { DEFAULT_POLICY, type Mute, type Policy } from '../../src/moderation/policy.ts';

type Mutes = Readonly<Record<string, Mute | readonly Mute[]>>;

/** What is decided of each viewer and device, by id. */
export function muting(viewers: Mutes, devices: Mutes = {}, policy: Policy = DEFAULT_POLICY): Policy {
  const records = [...recordsOf('viewer', viewers), ...recordsOf('device', devices)];
  const of = (kind: MuteRecord['subject']['kind']) => new Map(Array.from(effectiveMutes(records.filter(({ subject }) => subject.kind === kind)), ([key, mute]) => [key.slice(kind.length + 1), mute]));
  return { ...policy, mutedViewers: of('viewer'), mutedDevices: of('device'), retractions: retractionsOf(records) };
}

function recordsOf(kind: MuteRecord['subject']['kind'], mutes: Mutes): MuteRecord[] {
  return Object.entries(mutes).flatMap(([id, decided]) => [decided].flat().map((mute, index) => ({ key: `d${index}:${kind}:${id}`, subject: { kind, id }, mute: mute as Mute })));
}
