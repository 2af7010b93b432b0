/** Buttons and numbers of the app's own, by the hook: copy this one to draw reactions yourself. */

import { useReactions, type ReactionsOptions } from 'ovation/react';

export function ReactionBar(options: ReactionsOptions) {
  const { tap, totals, palette, state, frame, error } = useReactions(options);
  const buttons = Object.entries(palette).map(([emoji, glyph]) => (
    <button key={emoji} aria-label={`React with ${emoji}`} disabled={state === 'disconnected'} onClick={() => tap(emoji)}>
      <span>{glyph}</span>
      {(totals[emoji] ?? 0).toLocaleString('en')}
    </button>
  ));
  const rate = Object.values(frame?.rates ?? {}).reduce((sum, perSecond) => sum + perSecond, 0);
  const line =
    error?.temporary === false
      ? error.message
      : frame === null
        ? 'Connecting …'
        : `${frame.viewers.toLocaleString('en')} watching · ${Math.round(rate).toLocaleString('en')} reactions a second`;
  return (
    <>
      <div className="reactions" role="group" aria-label="Reactions">
        {buttons}
      </div>
      <p>{line}</p>
    </>
  );
}
