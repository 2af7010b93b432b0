/** What the moderators' console asks a region, and who may. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { SignJWT } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import * as Y from 'yjs';
import { realRuntime } from '../../src/base/runtime.ts';
import type { Edge } from '../../src/edge/server.ts';
import { createControlPlane } from '../../src/moderation/control-plane.ts';
import { mute, setLevel, setLimit, setState } from '../../src/moderation/policy-doc.ts';
import { DEFAULT_BASE } from '../../src/moderation/policy.ts';
import { FakeRegion, startEdge } from './fake-region.ts';

const SECRET = 'a secret of at least thirty-two characters';

describe('what the console asks', () => {
  const region = new FakeRegion();
  const folder = mkdtempSync(path.join(tmpdir(), 'ovation-console-'));
  const plane = createControlPlane({ base: DEFAULT_BASE, clock: realRuntime.clock, log: region.log, publish() {} });
  let edge: Edge;
  let http: string;

  beforeAll(async () => {
    writeFileSync(path.join(folder, 'console-page.js'), 'export {};');
    ({ edge, http } = await startEdge(region, {
      config: { jwt: { secret: SECRET } },
      policyOf: plane.policyOf,
      control: { plane, changes: null },
      consoleFolder: folder,
    }));
    const derby = new Y.Doc();
    setState(derby, 'draining', { by: 'mo', at: 5 });
    setLevel(derby, 'hearts', { by: 'mo', at: 5 });
    mute(derby, { kind: 'viewer', id: '<b>bot</b>' }, { by: 'mo', at: 5, until: 9, reason: 'a <i>bot</i>', retractFrom: 1 });
    derby.getMap('stream').set('spread', 'wide');
    plane.apply('stream.derby', Y.encodeStateAsUpdate(derby), 'mo');
    const all = new Y.Doc();
    setLimit(all, 'viewer', { tapBurstMax: 7 });
    plane.apply('global', Y.encodeStateAsUpdate(all), 'mo');
    for (const stream of ['derby', 'gala']) {
      const token = await tokenOf({ sub: 'ann', role: 'viewer', streams: '*' });
      const response = await fetch(`${http}/reactions`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
        body: JSON.stringify({ stream_id: stream, viewer_id: 'ann', emoji_id: 'heart', count_since_last: 3, timestamp: Date.now() }),
      });
      expect(response.status).toBe(202);
    }
  });
  afterAll(async () => {
    await edge.stop({ graceMs: 500 });
    rmSync(folder, { recursive: true, force: true });
  });

  function tokenOf(claims: object): Promise<string> {
    return new SignJWT({ sub: 'mo', ...claims }).setProtectedHeader({ alg: 'HS256' }).setExpirationTime('5m').sign(new TextEncoder().encode(SECRET));
  }

  async function get(where: string, claims: object | null): Promise<{ status: number; body: Record<string, unknown> }> {
    const headers: Record<string, string> = claims === null ? {} : { authorization: `Bearer ${await tokenOf(claims)}` };
    const response = await fetch(http + where, { headers });
    return { status: response.status, body: (await response.json()) as Record<string, unknown> };
  }

  it('[CONS-1] lists the streams for moderators of all, and of a few those alone, heard of or not', async () => {
    expect(await get('/streams', { role: 'admin', streams: '*' })).toEqual({
      status: 200,
      body: {
        region: 'us',
        at: expect.any(Number) as unknown,
        who: { sub: 'mo', role: 'admin', streams: '*' },
        streams: [
          { stream_id: 'derby', state: 'draining', level: 'exact', total: 3, rate: 1.2, viewers: 3 },
          { stream_id: 'gala', state: 'live', level: 'exact', total: 3, rate: 1.2, viewers: 3 },
        ],
        peers: { eu: { state: 'live' } },
      },
    });
    expect((await get('/streams?limit=1', { role: 'admin', streams: '*' })).body['streams']).toHaveLength(1);
    const { body } = await get('/streams', { role: 'moderator', streams: ['gala', 'quiet'] });
    expect(body['streams']).toMatchObject([{ stream_id: 'gala' }, { stream_id: 'quiet', total: 0 }]);
  });

  it('[CONS-1] lists nothing for anybody else', async () => {
    expect(await get('/streams', null)).toMatchObject({ status: 401 });
    expect(await get('/streams', { role: 'viewer', streams: '*' })).toMatchObject({ status: 403 });
    expect(await get('/streams', { role: 'moderator', streams: [] })).toMatchObject({ status: 403 });
    for (const limit of ['0', '501', 'x', '-1']) expect(await get(`/streams?limit=${limit}`, { role: 'admin', streams: '*' })).toMatchObject({ status: 400 });
  });

  it('[CONS-2] tells moderators of a stream what is in force there, and what of the document is not heard', async () => {
    expect(await get('/control/stream.derby/policy', { role: 'moderator', streams: ['derby'] })).toMatchObject({
      status: 200,
      body: {
        document: 'stream.derby',
        region: 'us',
        palette: { heart: '❤️' },
        limits: { viewer: { ...DEFAULT_BASE.limits.viewer, tapBurstMax: 7 } },
        state: 'draining',
        ended_at: null,
        level: 'hearts',
        mutes: [{ kind: 'viewer', id: '<b>bot</b>', until: 9, by: 'mo', reason: 'a <i>bot</i>', retract_from: 1, at: 5, lifted_at: null }],
        problems: [{ path: 'stream/spread' }],
      },
    });
    expect(await get('/control/global/policy', { role: 'admin' })).toMatchObject({ status: 200, body: { state: 'live', level: null, mutes: [], limits: { viewer: { tapBurstMax: 7 } } } });
    expect(await get('/control/global/policy', { role: 'moderator', streams: ['derby'] })).toMatchObject({ status: 403 });
    expect(await get('/control/stream.gala/policy', { role: 'moderator', streams: ['derby'] })).toMatchObject({ status: 403 });
    expect(await get('/control/stream.derby/policy', { role: 'viewer', streams: '*' })).toMatchObject({ status: 403 });
    expect(await get('/control/derby/policy', { role: 'admin' })).toMatchObject({ status: 400 });
  });

  it('[CONS-3] serves the page and its files alone, under a policy that lets in nothing else', async () => {
    const redirect = await fetch(`${http}/console`, { redirect: 'manual' });
    expect([redirect.status, redirect.headers.get('location')]).toEqual([308, 'console/']);
    const page = await fetch(`${http}/console/`);
    expect(page.headers.get('content-type')).toBe('text/html; charset=utf-8');
    const policy = page.headers.get('content-security-policy')!.split('; ');
    expect(policy).toEqual(expect.arrayContaining(["default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'", "require-trusted-types-for 'script'"]));
    expect(policy).toContain(`connect-src 'self' ${http.replace('http', 'ws')} ${http.replace('http', 'wss')}`);
    const files = [...(await page.text()).matchAll(/(?:src|href)="([^"]+)"/g)].map((match) => match[1]!);
    expect(files).toContain('console-page.js');
    for (const file of files) expect([file, (await fetch(`${http}/console/${file}`)).status]).toEqual([file, 200]);
    for (const other of ['console.ts', '..%2Fclient%2Fconsole-page.js', 'constructor', 'x']) {
      expect([other, (await fetch(`${http}/console/${other}`)).status]).toEqual([other, 404]);
    }
  });
});
