/** The page of the React test: one player in StrictMode, whose stream can be changed and which can be unmounted. */

import { StrictMode, createElement, useState } from 'react';
import { createRoot } from 'react-dom/client';
import { useReactions } from '../../src/client/react.ts';

const opened: WebSocket[] = [];
const Counted = class extends WebSocket {
  constructor(...parts: ConstructorParameters<typeof WebSocket>) {
    super(...parts);
    opened.push(this);
  }
};

function Player({ endpoint, stream }: { readonly endpoint: string; readonly stream: string }) {
  const { tap, totals, palette, state } = useReactions({
    endpoints: endpoint,
    streamId: stream,
    palette: { heart: '♥' },
    platform: { WebSocket: Counted },
  });
  return createElement(
    'button',
    { onClick: () => tap('heart', 2) },
    `${stream} ${state} ${palette['heart']} ${totals['heart'] ?? 0}`,
  );
}

function App({ endpoint }: { readonly endpoint: string }) {
  const [stream, setStream] = useState<string | null>('derby');
  Object.assign(window, { setStream });
  return stream === null ? null : createElement(Player, { endpoint, stream });
}

Object.assign(window, {
  start: (endpoint: string) =>
    createRoot(document.body).render(createElement(StrictMode, null, createElement(App, { endpoint }))),
  sockets: () => ({ opened: opened.length, open: opened.filter(({ readyState }) => readyState < 2).length }),
});
