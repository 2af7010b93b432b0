/** Who is muted, or was lately, and what is taken back. */

import { element, setState, setText } from '../live/element.ts';
import { contentOf, lift, type MuteSubject } from '../../moderation/policy-doc.ts';
import { isInForce, type Mute } from '../../moderation/policy.ts';
import { createRows, type Row } from './keyed.ts';
import { openMuteDialog, openTakeBackDialog } from './mute-dialogs.ts';
import { card, type PanelParts, type Section } from './section.ts';
import { time } from './words.ts';

interface MuteLine {
  readonly subject: MuteSubject;
  readonly mute: Mute;
  /** It stands in the document shown, not in that of all streams. */
  readonly isOwn: boolean;
  /** The region heeds it as it stands here. */
  readonly isHeard: boolean;
}

const SHOWN_MAX = 200;

export function createMutesSection(parts: PanelParts): Section {
  const dialogs = { ...parts, doc: () => parts.desk.doc };
  const items = element('ul', { class: 'mutes' });
  const none = element('p', { class: 'quiet' }, 'Nobody is muted.');
  const more = element('p', { class: 'quiet' });
  const muteButton = element('button', { type: 'button', class: 'main' }, 'Mute somebody…');
  const takeBackButton = element('button', { type: 'button', class: 'plain' }, 'Take back taps…');
  muteButton.addEventListener('click', () => openMuteDialog(dialogs, null));
  takeBackButton.addEventListener('click', () => openTakeBackDialog(dialogs, null));
  const root = card('mutes-title', 'Muted', items, none, more, element('div', { class: 'actions' }, muteButton, takeBackButton));
  const show = createRows<MuteLine>(items, ({ subject, isOwn }) => `${isOwn} ${subject.kind}:${subject.id}`, makeRow);

  function makeRow({ subject, isOwn }: MuteLine): Row<MuteLine> {
    const about = element('span', { class: 'quiet' });
    const badge = element('span', { class: 'badge' });
    const button = element('button', { type: 'button', class: 'plain', 'aria-label': `Unmute ${subject.kind} ${subject.id}` }, 'Unmute');
    button.addEventListener('click', () => {
      lift(parts.desk.doc, subject, { by: parts.by(), at: parts.now() });
      parts.say(`Unmuted ${subject.kind} ${subject.id}`);
    });
    const root = element('li', { class: 'mute' }, element('span', { class: 'who' }, `${subject.kind} `, element('b', { class: 'name' }, subject.id), badge, about), button);
    return {
      root,
      update({ mute, isHeard }) {
        const now = parts.now();
        const held = isInForce(mute, now);
        const isRetraction = mute.until !== null && mute.until === mute.at;
        const state = !isHeard ? 'waiting' : held ? 'muted' : 'over';
        setState(badge, state);
        setText(badge, !isHeard ? 'not heard yet' : held ? 'muted' : isRetraction ? 'taken back' : mute.liftedAt === null ? 'over' : 'unmuted');
        const term = isRetraction ? [] : [mute.until === null ? 'for good' : `until ${time(mute.until, now)}`];
        const back = mute.retractFrom === null ? [] : [`takes back since ${time(mute.retractFrom, now)}`];
        const where = isOwn ? [] : ['for all streams'];
        setText(about, [...where, ...term, ...back, `by ${mute.by === '' ? 'nobody named' : mute.by}`, mute.reason].filter((text) => text !== '').join(' · '));
        const hadFocus = document.activeElement === button;
        button.hidden = !held || !isOwn;
        if (hadFocus && button.hidden) muteButton.focus();
      },
    };
  }

  return {
    root,
    refresh({ stream, inForce }) {
      const { mutes: own, muteRecords } = contentOf(parts.desk.doc).content;
      const decided = new Set(muteRecords.map(({ subject, mute }) => decisionText(`${subject.kind}:${subject.id}`, mute)));
      const heard = new Map((inForce?.mutes ?? []).map((each) => [`${each.kind}:${each.id}`, each]));
      const lines: MuteLine[] = Array.from(own, ([key, mute]) => {
        const there = heard.get(key);
        // Where one of all streams lasts longer, that is what the region tells of.
        const isHeard = there !== undefined && (!decided.has(decisionText(key, there)) || (there.at === mute.at && there.lifted_at === mute.liftedAt && there.retract_from === mute.retractFrom));
        return { subject: subjectOf(key), mute, isOwn: true, isHeard };
      });
      for (const [key, { until, by, reason, retract_from: retractFrom, at, lifted_at: liftedAt }] of heard) {
        if (stream === null || decided.has(decisionText(key, { at, by, until }))) continue;
        lines.push({ subject: subjectOf(key), mute: { until, by, reason, retractFrom, at, liftedAt }, isOwn: false, isHeard: true });
      }
      lines.sort((one, other) => other.mute.at - one.mute.at || (one.subject.id < other.subject.id ? -1 : 1));
      show(lines.slice(0, SHOWN_MAX));
      none.hidden = lines.length > 0;
      more.hidden = lines.length <= SHOWN_MAX;
      setText(more, `and ${lines.length - SHOWN_MAX} earlier ones`);
    },
  };
}

/** Tells the decisions of one document from those of the other; a lift changes none of it. */
function decisionText(subject: string, { at, by, until }: Pick<Mute, 'at' | 'by' | 'until'>): string {
  return JSON.stringify([subject, at, by, until]);
}

function subjectOf(key: string): MuteSubject {
  const colon = key.indexOf(':');
  return { kind: key.slice(0, colon) as MuteSubject['kind'], id: key.slice(colon + 1) };
}
