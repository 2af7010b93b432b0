/** What the routes below `/control/{document}/` have in common: which document is meant, and who may read of it. */

import { Type } from 'typebox';
import type { FastifyRequest } from 'fastify';
import type { StreamId } from '../../crdt/ids.ts';
import { subjectOfDocument } from '../moderation/policy-content.ts';
import { requireReader, type Authenticator } from './auth.ts';
import { Problem } from './problem.ts';

export interface NamedDocument {
  readonly document: string;
  /** Null for the one about all streams. */
  readonly stream: StreamId | null;
}

/** @throws Problem when there is no such document, or the token does not allow to read it */
export async function documentOf(request: FastifyRequest, authenticator: Authenticator): Promise<NamedDocument> {
  const { document } = request.params as { readonly document: string };
  const subject = subjectOfDocument(document);
  if (subject === null) throw new Problem('malformed', 'A document is global, or stream.<id>.');
  await requireReader(authenticator, request.headers.authorization, subject.stream);
  return { document, stream: subject.stream };
}

/** What both descriptions say alike. */
export const documentRoute = {
  tags: ['moderation'],
  security: [{}, { token: [] }],
  params: Type.Object({ document: Type.String({ description: 'global, or stream.<id>' }) }),
};

export const PolicyProblems = Type.Array(Type.Object({ path: Type.String(), message: Type.String() }), {
  description: 'what this region finds in the document and does not heed',
});
