/** The app: a player, and reactions beside it (the hook) or over it (the element), one at a time. */

import { StrictMode, useState } from 'react';
import { createRoot } from 'react-dom/client';
import { LiveReactions } from './live-reactions.tsx';
import { ReactionBar } from './reaction-bar.tsx';

const ENDPOINTS = ['http://127.0.0.1:8081', 'http://127.0.0.1:8082'];
const STREAM = 'demo';

function App() {
  const [way, setWay] = useState<'hook' | 'element'>('hook');
  return (
    <>
      <div className="player">
        <div className="scene" />
        <div className="badge">
          <b>LIVE</b> Home 2 – 1 Away · 87:12
        </div>
        <div className="timeline">
          <i /> LIVE
        </div>
        {way === 'element' && <LiveReactions endpoints={ENDPOINTS} stream={STREAM} />}
      </div>
      {way === 'hook' && <ReactionBar endpoints={ENDPOINTS} streamId={STREAM} />}
      <p className="ways">
        <button aria-pressed={way === 'hook'} onClick={() => setWay('hook')}>
          useReactions
        </button>
        <button aria-pressed={way === 'element'} onClick={() => setWay('element')}>
          &lt;live-reactions&gt;
        </button>
      </p>
    </>
  );
}

createRoot(document.getElementById('app')!).render(
  <StrictMode>
    <App />
  </StrictMode>,
);
