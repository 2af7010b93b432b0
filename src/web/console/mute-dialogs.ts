/** Asks how to mute somebody, or what to take back, and decides it. */

import type * as Y from 'yjs';
import { element } from '../live/element.ts';
import { mute, retract, type MuteSubject } from '../../moderation/policy-doc.ts';
import { choiceField, openDialog, textField } from './dialog.ts';
import { duration } from './words.ts';

export interface MuteDialogParts {
  readonly doc: () => Y.Doc;
  readonly by: () => string;
  readonly now: () => number;
  readonly say: (text: string) => void;
}

/** What is known before the dialog opens. */
export interface Suspect {
  readonly kind: MuteSubject['kind'];
  readonly id: string;
  readonly reason: string;
  readonly takeBackMinutes: number;
}

const MINUTE_MS = 60_000;
/** Regions remember whose taps were whose for so long. */
const TAKE_BACK_MINUTES_MAX = 60;
const TERMS = [
  ['10', '10 minutes'],
  ['60', '1 hour'],
  ['1440', '1 day'],
  ['', 'for good'],
] as const;

export function openMuteDialog(parts: MuteDialogParts, suspect: Suspect | null): void {
  const who = whoFields(suspect);
  const term = choiceField('For', TERMS);
  term.input.value = '60';
  const { reason, minutes } = whyFields(suspect);
  const text = { title: 'Mute', explanation: 'Taps of who is muted are answered and not counted, in every region that hears of it.', submit: 'Mute' };
  openDialog(text, [...who.roots, term.root, reason.root, minutes.root], () => {
    const [subject, at, back] = [who.subject(), parts.now(), minutesOf(minutes.input.value)];
    if (back === null) return WRONG_MINUTES;
    const until = term.input.value === '' ? null : at + Number(term.input.value) * MINUTE_MS;
    const retractFrom = back === 0 ? null : at - back * MINUTE_MS;
    mute(parts.doc(), subject, { by: parts.by(), at, until, reason: reason.input.value, retractFrom });
    parts.say(`Muted ${subject.kind} ${subject.id}`);
  });
}

export function openTakeBackDialog(parts: MuteDialogParts, suspect: Suspect | null): void {
  const who = whoFields(suspect);
  const { reason, minutes } = whyFields(suspect);
  minutes.input.min = '1';
  if (minutes.input.value === '0') minutes.input.value = '10';
  const text = {
    title: 'Take back taps',
    explanation: 'What was counted of the viewer or device is taken out of the totals and of the stored history. Later taps count unless it is muted too.',
    submit: 'Take back',
    isGrave: true,
  };
  openDialog(text, [...who.roots, minutes.root, reason.root], () => {
    const [subject, at, back] = [who.subject(), parts.now(), minutesOf(minutes.input.value)];
    if (back === null || back === 0) return WRONG_MINUTES;
    retract(parts.doc(), subject, { by: parts.by(), at, from: at - back * MINUTE_MS, reason: reason.input.value });
    parts.say(`Taking back the last ${duration(back * MINUTE_MS)} of ${subject.kind} ${subject.id}`);
  });
}

const WRONG_MINUTES = `Minutes are a whole number up to ${TAKE_BACK_MINUTES_MAX}; earlier taps can no longer be told apart.`;

function minutesOf(text: string): number | null {
  const number = /^\d{1,2}$/.test(text) ? Number(text) : NaN;
  return number <= TAKE_BACK_MINUTES_MAX ? number : null;
}

function whoFields(suspect: Suspect | null): { readonly roots: readonly HTMLElement[]; readonly subject: () => MuteSubject } {
  if (suspect !== null) {
    const { kind, id } = suspect;
    return { roots: [element('p', { class: 'whom' }, `${kind} `, element('b', {}, id))], subject: () => ({ kind, id }) };
  }
  const kind = choiceField('Whom', [
    ['viewer', 'a viewer'],
    ['device', 'a device'],
  ]);
  const id = textField('Its id', { required: '', maxlength: '128' });
  return { roots: [kind.root, id.root], subject: () => ({ kind: kind.input.value as MuteSubject['kind'], id: id.input.value.trim() }) };
}

function whyFields(suspect: Suspect | null) {
  const reason = textField('Why', { maxlength: '280', placeholder: 'for other moderators' });
  reason.input.value = suspect?.reason ?? '';
  const attributes = { type: 'number', min: '0', max: String(TAKE_BACK_MINUTES_MAX), step: '1', inputmode: 'numeric', required: '' };
  const minutes = textField('Take back the last … minutes', attributes);
  minutes.input.value = String(suspect?.takeBackMinutes ?? 0);
  return { reason, minutes };
}
