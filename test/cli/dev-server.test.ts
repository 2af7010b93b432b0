import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createDevClient } from '../../src/cli/dev/dev-client.ts';
import { startDevServer, type DevControls, type DevServer } from '../../src/cli/dev/dev-server.ts';
import { CommandFailure } from '../../src/cli/failure.ts';
import type { CrowdStatus, DevStatus } from '../../src/web/live/dev-api.ts';

const CROWD: CrowdStatus = {
  mode: 'off',
  stream: null,
  taps_per_second: 0,
  viewers: 0,
  tapped: 0,
  acknowledged: 0,
  clamped: 0,
  refused: 0,
  replay: null,
  problem: null,
};
const STATUS: DevStatus = { regions: [], links: [], database: 'none', crowd: CROWD };
let watchedCount = 0;
const commands: object[] = [];
let server: DevServer;
let url: string;
let bundles: string;

beforeAll(async () => {
  bundles = mkdtempSync(path.join(tmpdir(), 'ovation-bundles-'));
  writeFileSync(path.join(bundles, 'ovation-overlay.js'), 'export {};');
  const controls: DevControls = {
    status: () => STATUS,
    link: (command) => {
      if (command.from === 'xx') throw new CommandFailure('usage', 'there is no xx');
      commands.push(command);
    },
    process: async (command) => void commands.push(command),
    deleteStream: async (command) => {
      const reason = command.region === 'xx' ? 'no' : command.region === 'yy' ? 'unreachable' : null;
      if (reason !== null) throw new CommandFailure(reason, `the NATS of ${command.region}`);
      if (command.region === 'zz') throw new TypeError('a defect');
      commands.push(command);
    },
    crowd: async (command) => void commands.push(command),
    watched: () => (watchedCount += 1),
  };
  server = await startDevServer(0, ['http://127.0.0.1:8081'], controls, bundles);
  url = `http://127.0.0.1:${server.port}`;
});
afterAll(async () => {
  rmSync(bundles, { recursive: true, force: true });
  await server.close();
});

function get(path: string, headers: Record<string, string> = {}): Promise<{ status: number; headers: object; body: string }> {
  return new Promise((resolve, reject) => {
    const sent = request(url + path, { headers }, (response) => {
      let body = '';
      response.on('data', (chunk: Buffer) => (body += chunk.toString()));
      response.on('end', () => resolve({ status: response.statusCode!, headers: response.headers, body }));
    });
    sent.on('error', reject);
    sent.end();
  });
}

test('commands arrive as they were sent, and the status answers them', async () => {
  const dev = createDevClient(url);
  expect(await dev.status()).toEqual(STATUS);
  await dev.link({ from: 'us', to: 'eu', action: 'cut', for_ms: 5 });
  await dev.link({ from: 'us', to: 'eu', action: 'lose', loss: 0.2 });
  await dev.process({ target: 'us-nats', action: 'pause', for_ms: 5 });
  await dev.deleteStream({ region: 'us', stream: 'log' });
  expect(commands).toEqual([
    { from: 'us', to: 'eu', action: 'cut', for_ms: 5 },
    { from: 'us', to: 'eu', action: 'lose', loss: 0.2 },
    { target: 'us-nats', action: 'pause', for_ms: 5 },
    { region: 'us', stream: 'log' },
  ]);
  await expect(dev.link({ from: 'us', to: 'eu', action: 'lose', loss: 1 })).rejects.toMatchObject({ reason: 'usage' });
  await expect(dev.process({ target: 'us', action: 'burn' as 'kill' })).rejects.toMatchObject({ reason: 'usage' });
  await expect(dev.link({ from: 'xx', to: 'eu', action: 'cut' })).rejects.toMatchObject({ reason: 'usage', message: 'there is no xx' });
  await expect(dev.link({ from: 'us', to: 'eu', action: 'burn' as 'cut' })).rejects.toMatchObject({ reason: 'usage' });
  await expect(dev.link({ from: 'us', to: 'eu', action: 'delay', delay_ms: 1e9 })).rejects.toMatchObject({ reason: 'usage' });
});

test('a crowd is asked for by a rate or by a recording, and by nothing else', async () => {
  const dev = createDevClient(url);
  const csv = `t_ms,viewer,emoji,count\n${'0,ann,heart,1\n'.repeat(20_000)}`;
  const asked = [{ taps_per_second: 1200, stream: 'derby' }, { replay: { csv, name: 'a.csv', speed: 10 } }, { replay: {} }];
  for (const command of asked) expect(await dev.crowd(command)).toEqual(STATUS);
  expect(commands.slice(-3)).toEqual(asked);
  for (const wrong of [{}, { taps_per_second: -1 }, { taps_per_second: 1e6 }, { taps_per_second: 5, replay: {} }, { replay: { speed: 0 } }, { taps_per_second: 5, stream: 'a b' }]) {
    await expect(dev.crowd(wrong as { taps_per_second: number })).rejects.toMatchObject({ reason: 'usage' });
  }
  expect(commands).toHaveLength(asked.length + 4);
});

test('only a status that is asked for by who watches counts as watching', async () => {
  const before = watchedCount;
  await get('/dev/status');
  expect(watchedCount).toBe(before);
  await get('/dev/status?watching');
  expect(watchedCount).toBe(before + 1);
});

test('[CLI-7] what kind of no it is arrives as well', async () => {
  const dev = createDevClient(url);
  const reasons = { xx: 'no', yy: 'unreachable', zz: 'unreachable' };
  for (const [region, reason] of Object.entries(reasons)) await expect(dev.deleteStream({ region, stream: 'log' })).rejects.toMatchObject({ reason });
});

test('[CLI-7] a dev that does not run is a clear error', async () => {
  await expect(createDevClient('http://127.0.0.1:9').status()).rejects.toMatchObject({ reason: 'unreachable' });
});

test('[CLI-10] the live page is served under a policy that lets it talk to the regions and nobody else', async () => {
  const { status, headers, body } = await get('/');
  expect(status).toBe(200);
  expect(body).toContain('<title>Ovation');
  expect(headers).toMatchObject({
    'content-type': 'text/html; charset=utf-8',
    'content-security-policy': expect.stringMatching(/^default-src 'none'.*connect-src 'self' http:\/\/127\.0\.0\.1:8081 ws:\/\/127\.0\.0\.1:8081;/),
  });
  expect((await get('/live.css')).status).toBe(200);
});

test('[PAGE-12] the bundles are served as modules that pages of any origin may load, and the API is not', async () => {
  const { status, headers, body } = await get('/ovation-overlay.js', { origin: 'https://app.example' });
  expect({ status, body }).toEqual({ status: 200, body: 'export {};' });
  expect(headers).toMatchObject({ 'content-type': 'text/javascript; charset=utf-8', 'access-control-allow-origin': '*' });
  for (const name of ['/dev/status', '/', '/live.css']) {
    expect((await get(name, { origin: 'https://app.example' })).headers).not.toHaveProperty('access-control-allow-origin');
  }
});

test.each(['/../../package.json', '/%2e%2e/%2e%2e/main.js', '/..%2fmain.js', '/live.ts', '/live.js', '/nothing.html', '/x/live.css', '/x/ovation-overlay.js'])('%s is not served', async (path) => {
  expect((await get(path)).status).toBe(404);
});

test('[CLI-10] another site can neither reach it by a rebound name nor post to it', async () => {
  expect((await get('/dev/status', { host: 'evil.example' })).status).toBe(403);
  const response = await fetch(`${url}/dev/processes`, { method: 'POST', body: '{"target":"us"}', headers: { 'content-type': 'text/plain' } });
  expect(response.status).toBe(415);
  expect(commands).not.toContainEqual({ target: 'us' });
});
