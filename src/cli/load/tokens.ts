/** Tokens for the crowd of `load`: one for each viewer, because a region takes a viewer's taps only with its own. */

import { SignJWT } from 'jose';

export interface TokenClaims {
  readonly viewer: string;
  readonly stream: string;
  readonly role: 'viewer' | 'moderator';
}

export type MintToken = (claims: TokenClaims) => Promise<string>;

// Minted anew for each connection and each request, so that a long run outlives it.
const VALID_FOR = '1h';

/** Signs with the regions' own HS256 secret. */
export function createTokenMint(secret: string): MintToken {
  const key = new TextEncoder().encode(secret);
  return ({ viewer, stream, role }) =>
    new SignJWT({ sub: viewer, streams: [stream], role })
      .setProtectedHeader({ alg: 'HS256' })
      .setExpirationTime(VALID_FOR)
      .sign(key);
}
