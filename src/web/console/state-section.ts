/** Whether a stream lets viewers in, its end, and the level that a moderator insists on. */

import type { Doc } from 'yjs';
import { element, setText } from '../live/element.ts';
import { LEVELS_IN_ORDER } from '../../protocol/message-rules.ts';
import { contentOf, endStream, setLevel, setState } from '../../moderation/policy-doc.ts';
import type { Policy, StreamState } from '../../moderation/policy.ts';
import { choiceField, openDialog, textField } from './dialog.ts';
import { card, type PanelParts, type Section, type View } from './section.ts';

const LEVEL_WORDS: Readonly<Record<string, string>> = {
  exact: 'exact: every tap, 5 frames a second',
  relaxed: 'relaxed: every tap, fewer frames',
  hearts: 'hearts: exact totals, fewer hints',
  static: 'static: players animate by themselves',
};

/** What is decided here counts at once, and then what the region heeds. */
export function stateOf(doc: Doc, { inForce }: View): StreamState {
  const { state, endedAt } = contentOf(doc).content;
  return endedAt !== null || inForce?.state === 'ended' ? 'ended' : (state ?? inForce?.state ?? 'live');
}

export function createStateSection({ desk, by, now, say }: PanelParts): Section {
  let stream: string | null = null;
  const about = element('p', {});
  const drain = element('button', { type: 'button', class: 'plain' });
  const end = element('button', { type: 'button', class: 'grave' }, 'End the stream…');
  const level = choiceField('Level', [['', 'left to the region'], ...LEVELS_IN_ORDER.map((each) => [each, LEVEL_WORDS[each] ?? each] as const)]);
  const root = card('state-title', 'Stream', about, element('div', { class: 'actions' }, drain, end), level.root);
  const decision = (): { readonly by: string; readonly at: number } => ({ by: by(), at: now() });

  drain.addEventListener('click', () => {
    const next = contentOf(desk.doc).content.state === 'draining' ? 'live' : 'draining';
    setState(desk.doc, next, decision());
    say(next === 'draining' ? 'New viewers are not let in any more' : 'New viewers are let in again');
  });
  level.input.addEventListener('change', () => {
    const value = level.input.value === '' ? null : (level.input.value as Policy['level']);
    setLevel(desk.doc, value, decision());
    say(value === null ? 'The region decides on the level' : `The level is ${value}`);
  });
  end.addEventListener('click', () => {
    const ending = stream;
    if (ending === null) return;
    const name = textField(`Type ${ending} to confirm`, { required: '' });
    const text = {
      title: 'End the stream',
      explanation: 'Taps are refused from then on, everywhere and for good. What was counted stays in the history.',
      submit: 'End it for good',
      isGrave: true,
    };
    openDialog(text, [name.root], () => {
      if (name.input.value.trim() !== ending) return `That is not ${ending}.`;
      endStream(desk.doc, decision());
      say(`Ended ${ending}`);
    });
  });

  return {
    root,
    refresh(view) {
      stream = view.stream;
      const state = stateOf(desk.doc, view);
      const isEnded = state === 'ended';
      const isDraining = state === 'draining';
      about.hidden = stream === null;
      setText(about, isEnded ? 'It has ended: taps are refused.' : isDraining ? 'Viewers who are here go on; nobody new is let in.' : 'Everybody is let in.');
      setText(drain, isDraining ? 'Let new viewers in' : 'Let nobody new in');
      drain.hidden = end.hidden = stream === null;
      drain.disabled = end.disabled = isEnded;
      if (document.activeElement !== level.input) level.input.value = contentOf(desk.doc).content.level ?? '';
    },
  };
}
