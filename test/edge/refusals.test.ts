/** Who is refused and does not leave keeps nobody else out: neither viewers nor moderators. */

import { connect, type Socket } from 'node:net';
import { SignJWT } from 'jose';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { realRuntime } from '../../src/base/runtime.ts';
import type { Edge } from '../../src/edge/server.ts';
import { createControlPlane } from '../../src/moderation/control-plane.ts';
import { DEFAULT_BASE } from '../../src/moderation/policy.ts';
import { controlProtocols } from '../../src/protocol/control.ts';
import { eventually } from './eventually.ts';
import { FakeRegion, startEdge } from './fake-region.ts';

const SECRET = 'a secret that is at least 32 characters long';
const REFUSALS_MAX = 3;
/** More than are told why, and than may knock at the moderators' door at one time. */
const CROWD = 6;

const open: Socket[] = [];
let edge: Edge;
let ws: string;
let port: number;

beforeEach(async () => {
  const region = new FakeRegion();
  const plane = createControlPlane({ base: DEFAULT_BASE, clock: realRuntime.clock, log: region.log, publish() {} });
  ({ edge, ws, port } = await startEdge(region, {
    config: { jwt: { secret: SECRET } },
    limits: { refusalsMax: REFUSALS_MAX },
    control: { plane, changes: null, limits: { refusalsMax: REFUSALS_MAX, arrivalsMax: REFUSALS_MAX } },
  }));
});
afterEach(async () => {
  for (const socket of open.splice(0)) socket.destroy();
  await edge.stop({ graceMs: 500 });
});

/** Bare sockets that never say goodbye, once each was refused: with a close code, or without a word. */
async function linger(path: string): Promise<{ readonly told: number; readonly cut: number }> {
  const sockets = Array.from({ length: CROWD }, () => {
    const socket = connect(port, '127.0.0.1');
    open.push(socket);
    const heard = { bytes: Buffer.alloc(0), isClosed: false };
    socket.on('data', (chunk) => (heard.bytes = Buffer.concat([heard.bytes, chunk])));
    socket.on('error', () => {});
    socket.on('close', () => (heard.isClosed = true));
    const headers = ['host: x', 'upgrade: websocket', 'connection: upgrade', 'sec-websocket-version: 13', 'sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ=='];
    socket.write(`GET ${path} HTTP/1.1\r\n${headers.join('\r\n')}\r\n\r\n`);
    return heard;
  });
  // The head of a close frame.
  const isTold = ({ bytes }: { readonly bytes: Buffer }): boolean => bytes.subarray(bytes.indexOf('\r\n\r\n') + 4)[0] === 0x88;
  await eventually(() => expect(sockets.every((heard) => isTold(heard) || heard.isClosed)).toBe(true));
  const told = sockets.filter(isTold).length;
  return { told, cut: CROWD - told };
}

it('[EDGE-47] viewers come in whoever lingers after a refusal, and those beyond a bound are not told why', async () => {
  expect(await linger('/nope')).toEqual({ told: REFUSALS_MAX, cut: CROWD - REFUSALS_MAX });
  const viewer = new WebSocket(`${ws}/streams/derby/reactions`);
  viewer.on('error', () => {});
  const first = await new Promise<string>((resolve) => {
    viewer.once('message', (data: Buffer) => resolve(data.toString()));
    viewer.once('close', (code) => resolve(`closed with ${code}`));
  });
  expect(first).toMatch(/"type":"welcome"/);
  viewer.terminate();
});

it.each(['/control/x', '/control/stream.derby'])('[EDGE-47] moderators come in whoever lingers after a refusal at %s', async (path) => {
  expect(await linger(path)).toEqual({ told: REFUSALS_MAX, cut: CROWD - REFUSALS_MAX });
  const now = Math.floor(Date.now() / 1000);
  const token = await new SignJWT({ sub: 'ada', role: 'moderator', streams: ['derby'], iat: now - 60, exp: now + 600 })
    .setProtectedHeader({ alg: 'HS256' })
    .sign(new TextEncoder().encode(SECRET));
  const moderator = new WebSocket(`${ws}/control/stream.derby`, controlProtocols(token));
  moderator.on('error', () => {});
  const first = await new Promise<string>((resolve) => {
    moderator.once('message', () => resolve('heard'));
    moderator.once('close', (code) => resolve(`closed with ${code}`));
  });
  expect(first).toBe('heard');
  moderator.terminate();
});
