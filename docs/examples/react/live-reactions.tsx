/** The overlay element as a component (React 19): copy this one to have reactions drawn for you. */

import type { DetailedHTMLProps, HTMLAttributes } from 'react';
import { defineLiveReactions, type LiveReactionsElement, type TokenSource } from 'ovation/overlay';

// Makes the tag known to the browser, and here to the compiler. On a server it does nothing.
defineLiveReactions();

type LiveReactionsProps = DetailedHTMLProps<HTMLAttributes<LiveReactionsElement>, LiveReactionsElement> &
  Partial<Pick<LiveReactionsElement, 'endpoint' | 'stream' | 'viewer' | 'palette' | 'controls' | 'watchOnly' | 'token'>>;

declare module 'react' {
  namespace JSX {
    interface IntrinsicElements {
      'live-reactions': LiveReactionsProps;
    }
  }
}

export interface Props {
  readonly endpoints: readonly string[];
  readonly stream: string;
  /** Where the service wants tokens. */
  readonly token?: TokenSource;
}

export function LiveReactions({ endpoints, stream, token }: Props) {
  return <live-reactions className="over-the-picture" endpoint={endpoints.join(' ')} stream={stream} token={token} controls />;
}
