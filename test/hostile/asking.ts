/** Sends batches again that were not answered, as clients do, so that the books say what has become of them. */

import type { AnswerBooks, Said } from './answer-books.ts';
import type { Target } from './attack.ts';
import { resultsOf } from './said.ts';
import { STREAM } from './surfaces.ts';

const AT_ONCE = 25;
/** What a region refuses for the moment. */
const LATER = new Set(['unavailable', 'overloaded', 'rate-limited'].map((name) => `urn:ovation:problem:${name}`));
let turn = 0;

/** For a few of those that wait. */
export async function ask({ port, viewerTokens }: Target, books: AnswerBooks): Promise<void> {
  const asked = books.takeWaiting(AT_ONCE);
  if (asked.length === 0) return;
  // One after the other, because each viewer may post so much only.
  const viewer = turn++ % viewerTokens.length;
  const response = await fetch(`http://127.0.0.1:${port}/reactions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${viewerTokens[viewer]!}` },
    body: JSON.stringify(asked.map((said) => reactionOf(said, `hostile-${viewer}`))),
  });
  const results = resultsOf({ status: response.status, body: Buffer.from(await response.arrayBuffer()) });
  for (const [index, said] of asked.entries()) {
    const result = results?.[index];
    if (result === undefined || ('problem' in result && LATER.has(result.problem.type))) books.askLater(said);
    else if (!('problem' in result)) books.answered(said, result);
    // Whether it is known is looked at before whether its emoji are.
    else if (result.problem.type === 'urn:ovation:problem:unknown-emoji') books.refused(said);
  }
}

function reactionOf({ session, seq, reactions }: Said, viewer: string): object {
  return {
    stream_id: STREAM,
    viewer_id: viewer,
    session_id: session,
    seq,
    timestamp: 1_795_342_812_345,
    reactions: reactions.map(([emoji, taps]) => ({ emoji_id: emoji, count_since_last: taps })),
  };
}
