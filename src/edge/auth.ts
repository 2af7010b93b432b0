/**
 * Authentication: JSON Web Tokens, verified by `jose` with an HS256 secret or a JWKS.
 *
 * Claims: `sub` is the viewer id, `streams` a list of stream ids or `"*"`, `role` one of viewer,
 * moderator, admin, `device` optional; `exp` is required. Without a key the region is open to everybody, and says so.
 */

import { createRemoteJWKSet, errors, jwtVerify, type JWTPayload, type JWTVerifyGetKey } from 'jose';
import { isId } from '../../crdt/ids.ts';
import type { Clock, Log } from '../../regions/runtime.ts';
import { isDeviceId, isViewerId } from '../protocol/message-rules.ts';
import type { TokenKey } from './options.ts';
import { Problem } from './problem.ts';

export type Role = 'viewer' | 'moderator' | 'admin';

export interface Claims {
  readonly viewer: string;
  readonly streams: '*' | readonly string[];
  readonly role: Role;
  /** Which of the viewer's devices the token was issued to; null when it does not say. */
  readonly device: string | null;
  /** Milliseconds since the epoch. */
  readonly expiresAt: number;
  /** Null when the token does not say. */
  readonly issuedAt: number | null;
}

export interface Authenticator {
  /** True without a key: then nobody needs a token. */
  readonly open: boolean;
  /** @throws Problem unauthenticated, or unavailable while the keys cannot be fetched */
  verify(token: string | undefined): Promise<Claims>;
}

// Signatures by a key pair only: a public key must never be taken for a secret.
const JWKS_ALGORITHMS = ['ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519', 'PS256', 'PS384', 'PS512', 'RS256', 'RS384', 'RS512'];
const CLOCK_TOLERANCE_S = 5;
const JWKS_TIMEOUT_MS = 4_000;

/** `revokedBefore` says which tokens of a `sub` are refused although they are good: those issued before a time. */
export function createAuthenticator(
  jwt: TokenKey,
  clock: Clock,
  log: Log,
  revokedBefore: (sub: string) => number | null = () => null,
): Authenticator {
  if (jwt === null) {
    log.warn({}, 'NO TOKEN KEY IS CONFIGURED: anybody may react as anybody and read the books');
    return { open: true, verify: () => Promise.reject(new Problem('unauthenticated', 'This region knows no keys.')) };
  }
  const key: JWTVerifyGetKey =
    'secret' in jwt
      ? sharedSecret(jwt.secret)
      : createRemoteJWKSet(new URL(jwt.jwksUrl), { timeoutDuration: JWKS_TIMEOUT_MS });
  const algorithms = 'secret' in jwt ? ['HS256'] : JWKS_ALGORITHMS;
  return {
    open: false,
    async verify(token) {
      if (token === undefined) {
        throw new Problem('unauthenticated', 'Send a token: "Authorization: Bearer …", or hello.token on a WebSocket.');
      }
      try {
        const { payload } = await jwtVerify(token, key, {
          algorithms,
          requiredClaims: ['sub', 'exp'],
          clockTolerance: CLOCK_TOLERANCE_S,
          currentDate: new Date(clock.now()),
        });
        const claims = claimsOf(payload);
        if (isRevoked(claims, revokedBefore(claims.viewer))) throw new Problem('unauthenticated', 'The token was revoked; get a new one.');
        return claims;
      } catch (error) {
        throw problemOf(error, log);
      }
    },
  };
}

/** @throws Problem forbidden */
export function requireStream(claims: Claims, stream: string): void {
  if (claims.streams === '*' || claims.streams.includes(stream)) return;
  throw new Problem('forbidden', `The token's claim "streams" does not name ${stream}.`);
}

/** @throws Problem forbidden */
export function requireViewer(claims: Claims, viewer: string): void {
  if (claims.viewer === viewer) return;
  throw new Problem('forbidden', 'viewer_id must be the claim "sub" of the token.');
}

/** True of a token that was issued before the time, or does not say when. */
export function isRevoked({ issuedAt }: Claims, before: number | null): boolean {
  return before !== null && (issuedAt === null || issuedAt < before);
}

/** Moderators and admins, of the stream; for all streams (null) admins, and moderators of `"*"`. @throws Problem */
export function requireModerator(claims: Claims, stream: string | null): void {
  if (claims.role === 'viewer') {
    throw new Problem('forbidden', 'The claim "role" of the token must be moderator or admin.');
  }
  if (stream !== null) requireStream(claims, stream);
  else if (claims.role !== 'admin' && claims.streams !== '*') {
    throw new Problem('forbidden', 'What concerns all streams needs the role admin, or the claim "streams": "*".');
  }
}

/** Passes who may read a stream's history and books: moderators and admins of it. @throws Problem */
export async function requireReader(
  authenticator: Authenticator,
  authorization: string | undefined,
  stream: string | null,
): Promise<void> {
  if (authenticator.open) return;
  requireModerator(await authenticator.verify(bearerToken(authorization)), stream);
}

/** The token of an `Authorization` header. Tokens in URLs are not read: URLs are logged. */
export function bearerToken(authorization: string | undefined): string | undefined {
  return /^Bearer +([\x21-\x7e]+)$/i.exec(authorization ?? '')?.[1];
}

function sharedSecret(secret: string): JWTVerifyGetKey {
  // Imported once: as bytes it would be for every token, which costs more than to verify it.
  const key = crypto.subtle.importKey('raw', new TextEncoder().encode(secret), { name: 'HMAC', hash: 'SHA-256' }, false, ['verify']);
  return () => key;
}

function claimsOf(payload: JWTPayload): Claims {
  const { sub, streams = [], role = 'viewer', device = null } = payload;
  if (!isViewerId(sub)) throw new Problem('unauthenticated', 'The claim "sub" must be a viewer id.');
  if (device !== null && !isDeviceId(device)) throw new Problem('unauthenticated', 'The claim "device" must be a device id.');
  if (role !== 'viewer' && role !== 'moderator' && role !== 'admin') {
    throw new Problem('unauthenticated', 'The claim "role" must be viewer, moderator or admin.');
  }
  // jose has seen to it that `exp` is there and that both are numbers.
  const times = { expiresAt: payload.exp! * 1000, issuedAt: payload.iat === undefined ? null : payload.iat * 1000 };
  if (streams === '*') return { viewer: sub, streams, role, device, ...times };
  if (!Array.isArray(streams) || !streams.every(isId)) {
    throw new Problem('unauthenticated', 'The claim "streams" must be a list of stream ids, or "*".');
  }
  return { viewer: sub, streams, role, device, ...times };
}

/** What went wrong with the token; keys that cannot be fetched are our trouble, not the viewer's. */
function problemOf(error: unknown, log: Log): Problem {
  if (error instanceof Problem) return error;
  if (error instanceof errors.JWTExpired) return new Problem('unauthenticated', 'The token has expired; get a new one.');
  const isOurs =
    !(error instanceof errors.JOSEError) ||
    error instanceof errors.JWKSTimeout ||
    error instanceof errors.JWKSInvalid ||
    error.code === 'ERR_JOSE_GENERIC';
  if (!isOurs) return new Problem('unauthenticated', `The token is refused: ${error.message}.`);
  log.error({ err: error }, 'The keys that verify tokens cannot be fetched');
  return new Problem('unavailable', 'Tokens cannot be verified at the moment. Try again.');
}
