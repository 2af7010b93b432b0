/** `GET /streams/{id}/audit`: the books of one stream, for comparing regions and the database. */

import type { FastifyInstance } from 'fastify';
import type { StreamId } from '../../crdt/ids.ts';
import { WindowStoreOutdated, type StoredEntry } from '../analytics/window-store.ts';
import type { BookEntry } from '../broadcaster/frame-feed.ts';
import { requireReader, type Authenticator } from './auth.ts';
import type { EdgeLimits, EdgeOptions } from './options.ts';
import { within } from './problem.ts';
import { AuditAnswer, StreamParams, problemAnswers, streamOf } from './schemas.ts';

export function auditRoute(
  app: FastifyInstance,
  options: EdgeOptions,
  limits: EdgeLimits,
  authenticator: Authenticator,
): void {
  const { feed, runtime, peers, log } = options;

  app.route({
    method: 'GET',
    url: '/streams/:id/audit',
    schema: documentation,
    async handler(request) {
      const stream = streamOf(request);
      await requireReader(authenticator, request.headers.authorization, stream);
      const [books, stored] = await Promise.all([
        within(runtime.timers, limits.answerMsMax, feed.books(stream)),
        storedEntries(stream),
      ]);
      const actors = books.actors ?? [books.actor];
      const own = books.entries.filter((entry) => actors.includes(entry.actor));
      return {
        stream_id: stream,
        region: books.region,
        digest: books.digest,
        actor: books.actor,
        ...(books.actors === undefined ? {} : { actors: [...books.actors] }),
        acknowledged: books.acknowledged,
        claims_in_doubt: books.claimsInDoubt,
        counted: own.reduce((sum, entry) => sum + entry.increments, 0),
        entries: books.entries.map(inSnakeCase),
        ...stored,
        peers: peers(),
      };
    },
  });

  /** The database being away must not hide the books. */
  async function storedEntries(stream: StreamId): Promise<{ stored: object[] | null; stored_reason: string | null }> {
    if (options.stored === null) return { stored: null, stored_reason: 'This region runs without a database of windows.' };
    try {
      const entries = await within(runtime.timers, limits.answerMsMax, options.stored(stream));
      return { stored: entries.map(inSnakeCase), stored_reason: null };
    } catch (error) {
      log.warn({ err: error, stream }, 'The database could not be audited');
      const reason = error instanceof WindowStoreOutdated ? 'lacks the tables of this version; run: ovation migrate' : 'cannot be reached at the moment';
      return { stored: null, stored_reason: `The database of windows ${reason}.` };
    }
  }
}

function inSnakeCase({ actor, emoji, increments, decrements }: BookEntry | StoredEntry): object {
  return { actor, emoji_id: emoji, increments, decrements };
}

const documentation = {
  tags: ['reading'],
  summary: 'The books',
  description:
    'Every actor’s entry as this region counts it and as the database has it. Regions that agree show one digest. Needs the role moderator or admin where tokens are used.',
  security: [{}, { token: [] }],
  params: StreamParams,
  response: { 200: AuditAnswer, ...problemAnswers(400, 401, 403, 503) },
};
