import { SignJWT } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { FlaggedViewer } from '../../src/antispam/flagged.ts';
import type { Edge } from '../../src/edge/server.ts';
import { FakeRegion, startEdge } from './fake-region.ts';

const SECRET = 'a secret of at least thirty-two characters';
const BOT: FlaggedViewer = {
  viewer: '<b>bot</b>',
  device: 'phone',
  standing: 'shadow',
  score: 88,
  reasons: ['cadence', 'one-emoji'],
  since: 1000,
  lastAt: 2000,
  samples: 7,
  tapsPerSecond: 5,
  shadowedTaps: 40,
  cells: [0, 30, 30],
  intervals: [0, 7],
};

describe('flagged viewers', () => {
  const region = new FakeRegion();
  let edge: Edge;
  let http: string;
  beforeAll(async () => {
    const flagged = (stream: string): Promise<FlaggedViewer[]> => (stream === 'slow' ? new Promise(() => {}) : Promise.resolve(stream === 'derby' ? [BOT] : []));
    ({ edge, http } = await startEdge(region, { config: { jwt: { secret: SECRET } }, flagged, limits: { answerMsMax: 200 } }));
  });
  afterAll(() => edge.stop({ graceMs: 500 }));

  const get = async (stream: string, claims: object | null): Promise<{ status: number; body: Record<string, unknown> }> => {
    const token = claims && (await new SignJWT({ sub: 'mo', ...claims }).setProtectedHeader({ alg: 'HS256' }).setExpirationTime('5m').sign(new TextEncoder().encode(SECRET)));
    const response = await fetch(`${http}/streams/${stream}/flagged`, { headers: token === null ? {} : { authorization: `Bearer ${token}` } });
    return { status: response.status, body: (await response.json()) as Record<string, unknown> };
  };

  it('[SPAM-12] are shown to the stream’s moderators with the evidence', async () => {
    const { status, body } = await get('derby', { role: 'moderator', streams: ['derby'] });
    expect(status).toBe(200);
    expect(body).toMatchObject({
      stream_id: 'derby',
      region: 'us',
      cell_ms: 6000,
      viewers: [{ viewer_id: '<b>bot</b>', device_id: 'phone', standing: 'shadow', score: 88, reasons: ['cadence', 'one-emoji'], since: 1000, last_at: 2000, samples: 7, taps_per_second: 5, shadowed_taps: 40, cells: [0, 30, 30], intervals: [0, 7] }],
    });
    expect(await get('other', { role: 'admin', streams: '*' })).toMatchObject({ status: 200, body: { viewers: [] } });
  });

  it('[SPAM-12] are shown to nobody else', async () => {
    expect(await get('derby', null)).toMatchObject({ status: 401 });
    expect(await get('derby', { role: 'viewer', streams: '*' })).toMatchObject({ status: 403 });
    expect(await get('derby', { role: 'moderator', streams: ['other'] })).toMatchObject({ status: 403 });
    expect(await get('a.b', { role: 'admin', streams: '*' })).toMatchObject({ status: 400 });
    expect(await get('slow', { role: 'admin', streams: '*' })).toMatchObject({ status: 503 });
  });
});
