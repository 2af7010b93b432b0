/** The query parameter `limit` of lists: how it is documented, and what a request says. */

import { Type } from 'typebox';
import { Problem } from './problem.ts';

const LIMIT_DEFAULT = 100;

export function limitParam(max: number) {
  return {
    schema: Type.Optional(Type.Integer({ minimum: 1, maximum: max, default: LIMIT_DEFAULT })),
    /** Of the query of a request. @throws Problem */
    of(query: unknown): number {
      const { limit } = query as { readonly limit?: unknown };
      if (limit === undefined) return LIMIT_DEFAULT;
      const number = typeof limit === 'string' && /^\d{1,4}$/.test(limit) ? Number(limit) : 0;
      if (number < 1 || number > max) throw new Problem('malformed', `limit is a whole number from 1 to ${max}.`);
      return number;
    },
  };
}
