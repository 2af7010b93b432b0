/** The documents of the control plane as region logs carry them: under `policy.` and their names. */

import type { StreamId } from '../../crdt/ids.ts';
import type { DocumentKind } from '../../regions/documents.ts';
import type { ControlPlane } from './control-plane.ts';
import { subjectOfDocument } from './policy-content.ts';

/** The key under which a document stands in the region logs. */
export function logKeyOf(document: string): string {
  return `policy.${document}`;
}

/** The document that stands under a key; null when that is no policy document. */
export function documentOfLogKey(key: string): string | null {
  const document = key.startsWith('policy.') ? key.slice('policy.'.length) : '';
  return subjectOfDocument(document) === null ? null : document;
}

/** The documents as a region's log carries them. */
export function policyDocuments(plane: ControlPlane): DocumentKind {
  return {
    kind: 'policy',
    *keys() {
      for (const document of plane.documents()) yield logKeyOf(document);
    },
    read(key) {
      const document = documentOfLogKey(key);
      return document === null ? null : plane.state(document);
    },
    receive(from, key, bytes) {
      const document = documentOfLogKey(key);
      // A log that has lost a document takes none away: what is known here stays.
      if (document !== null && bytes !== null) plane.merge(document, bytes, from);
    },
  };
}

/** The streams that have documents of their own. */
export function* streamsWithPolicies(plane: Pick<ControlPlane, 'documents'>): Generator<StreamId> {
  for (const document of plane.documents()) {
    const stream = subjectOfDocument(document)?.stream ?? null;
    if (stream !== null) yield stream;
  }
}
