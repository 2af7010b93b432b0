/** Every refusal over HTTP as an RFC 9457 problem document, whatever it was that refused. */

import type { Socket } from 'node:net';
import type { FastifyError, FastifyInstance, FastifyReply } from 'fastify';
import type { Log } from '../../regions/runtime.ts';
import { InvalidHistoryQuery } from '../analytics/history.ts';
import { WindowStoreOutdated, WindowStoreUnavailable } from '../analytics/window-store.ts';
import { PROBLEM_MEDIA_TYPE, problemDocument, type ProblemName } from '../protocol/problems.ts';
import { BODY_BYTES_MAX } from './options.ts';
import { Problem } from './problem.ts';

export function sendProblem(reply: FastifyReply, problem: Problem, extension: object = {}): FastifyReply {
  const document = problemDocument(problem.problem, problem.message, problem.retryAfterMs);
  if (problem.retryAfterMs !== undefined) {
    reply.header('retry-after', String(retryAfterSeconds(problem.retryAfterMs)));
  }
  if (problem.problem === 'unauthenticated') reply.header('www-authenticate', 'Bearer');
  return reply.code(document.status).type(PROBLEM_MEDIA_TYPE).send(JSON.stringify({ ...document, ...extension }));
}

export function answerProblems(app: FastifyInstance, log: Log): void {
  app.setErrorHandler((error: FastifyError, request, reply) => {
    const problem = problemOf(error);
    if (problem.problem === 'internal') log.error({ err: error, method: request.method, url: request.url }, 'A request failed');
    // A body that was not read to its end would be taken for the next request.
    if (problem.problem === 'too-large') reply.header('connection', 'close');
    return sendProblem(reply, problem);
  });
  app.setNotFoundHandler((_request, reply) =>
    sendProblem(reply, new Problem('not-found', 'No such method and path. /docs lists them all.')),
  );
}

const FRAMEWORK: { readonly [code: string]: readonly [ProblemName, string] } = {
  FST_ERR_CTP_BODY_TOO_LARGE: ['too-large', `A body holds ${BODY_BYTES_MAX / 1024} KiB at most. Send fewer reactions at once.`],
  FST_ERR_CTP_INVALID_MEDIA_TYPE: ['unsupported-media-type', 'Set Content-Type to application/json or application/msgpack.'],
  FST_ERR_CTP_EMPTY_JSON_BODY: ['malformed', 'The body is empty. Send a reaction, or a list of them.'],
  FST_ERR_CTP_INVALID_JSON_BODY: ['malformed', 'The body is not JSON.'],
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: ['malformed', 'The body is not as long as Content-Length says.'],
};

/** What any error is to a client. */
export function problemOf(error: FastifyError): Problem {
  if (error instanceof Problem) return error;
  if (error instanceof InvalidHistoryQuery) return new Problem('malformed', `${error.message}.`);
  if (error instanceof WindowStoreUnavailable) {
    const todo = error instanceof WindowStoreOutdated ? 'The database lacks the tables of this version; its operator has to run: ovation migrate.' : 'Try again.';
    return new Problem('history-unavailable', `The totals and the live frames are not affected. ${todo}`);
  }
  const known = FRAMEWORK[error.code];
  if (known !== undefined) return new Problem(...known);
  if (error.validation !== undefined) return new Problem('malformed', `${error.message}. See /docs.`);
  const status = error.statusCode ?? 500;
  if (status >= 400 && status < 500) return new Problem('malformed', `${error.message}.`);
  return new Problem('internal', 'It was logged. Try again; with session_id and seq nothing counts twice.');
}

/** For requests that are broken before they are requests: written to the bare socket. */
export function answerClientError(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) return void socket.destroy();
  const [name, detail]: readonly [ProblemName, string] =
    error.code === 'HPE_HEADER_OVERFLOW'
      ? ['headers-too-large', 'All headers together hold 16 KiB at most.']
      : error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
        ? ['request-timeout', 'Send a whole request within 10 s.']
        : ['malformed', 'This is not HTTP/1.1.'];
  endWithProblem(socket, new Problem(name, detail));
}

/** A problem as the last answer on a bare socket. */
export function endWithProblem(socket: Socket, { problem, message, retryAfterMs }: Problem): void {
  const document = problemDocument(problem, message, retryAfterMs);
  const body = JSON.stringify(document);
  const head = [
    `HTTP/1.1 ${document.status} ${document.title}`,
    `content-type: ${PROBLEM_MEDIA_TYPE}`,
    `content-length: ${Buffer.byteLength(body)}`,
    ...(retryAfterMs === undefined ? [] : [`retry-after: ${retryAfterSeconds(retryAfterMs)}`]),
    'connection: close',
  ];
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`);
  // Who goes on sending is not listened to.
  socket.destroySoon();
}

function retryAfterSeconds(retryAfterMs: number): number {
  return Math.max(1, Math.ceil(retryAfterMs / 1000));
}
