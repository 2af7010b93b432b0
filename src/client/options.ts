/** What the app gives, checked: what cannot be used is told in words, and never thrown. Pure. */

import { isId } from '../../crdt/ids.ts';
import { isViewerId } from '../protocol/message-rules.ts';
import type { Palette, ReactionsOptions } from './client-types.ts';

export interface CheckedOptions {
  readonly endpoints: readonly string[];
  readonly streamId: string;
  readonly viewerId: string | undefined;
  readonly getToken: ReactionsOptions['getToken'];
  readonly palette: Palette;
  readonly transport: 'auto' | 'websocket' | 'http';
  readonly watchOnly: boolean;
  /** What is wrong; empty when nothing is. */
  readonly problems: readonly string[];
  /** False when no connection can come of it. Of several endpoints some may be wrong. */
  readonly isUsable: boolean;
}

/** `base` is the page's address, which relative endpoints belong to. */
export function checkOptions(options: ReactionsOptions, base: string | undefined): CheckedOptions {
  const { streamId, viewerId, getToken, palette = {}, transport = 'auto', watchOnly = false } = options ?? {};
  const problems: string[] = [];
  const endpoints = [options?.endpoints ?? []].flat().flatMap((text) => {
    const endpoint = endpointOf(text, base);
    if (endpoint === null) problems.push(`${text} is no endpoint, as https://us.example is`);
    return endpoint ?? [];
  });
  if (endpoints.length + problems.length === 0) problems.push('endpoints is missing');
  if (!isId(streamId)) problems.push('streamId must match [A-Za-z0-9_-]{1,64}');
  const isViewer = viewerId === undefined || isViewerId(viewerId);
  if (!isViewer) problems.push('viewerId must be visible ASCII, 128 at most');
  const isUsable = endpoints.length > 0 && isId(streamId) && isViewer;
  return { endpoints, streamId, viewerId, getToken, palette: Object.freeze({ ...palette }), transport, watchOnly, problems, isUsable };
}

function endpointOf(text: string, base: string | undefined): string | null {
  try {
    const { protocol, host, pathname } = new URL(text.replace(/^ws/, 'http'), base);
    return /^https?:$/.test(protocol) ? `${protocol}//${host}${pathname.replace(/\/$/, '')}` : null;
  } catch {
    return null;
  }
}

/** The claim `sub` of a JSON Web Token: who the region will take us for. */
export function subjectOf(token: string | undefined): string | undefined {
  try {
    const payload = token?.split('.')[1]?.replaceAll('-', '+').replaceAll('_', '/');
    const { sub } = JSON.parse(atob(payload ?? '')) as { readonly sub?: unknown };
    return isViewerId(sub) ? sub : undefined;
  } catch {
    return undefined;
  }
}
