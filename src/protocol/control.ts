/**
 * How a moderator's connection to `/control/<document>` shows its token. Runs in browsers too.
 *
 * A browser can put nothing into the upgrade of a WebSocket but its URL and its subprotocols. URLs are logged by
 * every proxy on the way, so the token is offered as one more subprotocol; the server chooses the named one.
 */

export const CONTROL_SUBPROTOCOL = 'ovation.control.v1';
const TOKEN_PREFIX = 'ovation.token.';

/** The subprotocols to offer: `new WebsocketProvider(url, document, doc, { protocols: controlProtocols(token) })`. */
export function controlProtocols(token: string | null): string[] {
  return token === null ? [CONTROL_SUBPROTOCOL] : [CONTROL_SUBPROTOCOL, TOKEN_PREFIX + token];
}

/** The token among the subprotocols offered, as `Sec-WebSocket-Protocol` lists them. */
export function tokenOfProtocols(header: string | undefined): string | undefined {
  const offered = (header ?? '').split(',').map((name) => name.trim());
  return offered.find((name) => name.startsWith(TOKEN_PREFIX))?.slice(TOKEN_PREFIX.length);
}

/** The update, or the document with it, is larger than documents may be. Permanent: it was not taken, and never will be. */
export const CLOSE_TOO_LARGE = 4413;
