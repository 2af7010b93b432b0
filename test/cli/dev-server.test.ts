import { request } from 'node:http';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createDevClient, type DevStatus } from '../../src/cli/dev/dev-api.ts';
import { startDevServer, type DevServer } from '../../src/cli/dev/dev-server.ts';
import { CommandFailure } from '../../src/cli/failure.ts';

const STATUS: DevStatus = { regions: [], links: [], database: 'none' };
const commands: object[] = [];
let server: DevServer;
let url: string;

beforeAll(async () => {
  server = await startDevServer(0, ['http://127.0.0.1:8081'], {
    status: () => STATUS,
    link: (command) => {
      if (command.from === 'xx') throw new CommandFailure('usage', 'there is no xx');
      commands.push(command);
    },
    kill: (command) => void commands.push(command),
  });
  url = `http://127.0.0.1:${server.port}`;
});
afterAll(() => server.close());

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
  await dev.kill({ target: 'us-nats' });
  expect(commands).toEqual([{ from: 'us', to: 'eu', action: 'cut', for_ms: 5 }, { target: 'us-nats' }]);
  await expect(dev.link({ from: 'xx', to: 'eu', action: 'cut' })).rejects.toMatchObject({ reason: 'usage', message: 'there is no xx' });
  await expect(dev.link({ from: 'us', to: 'eu', action: 'burn' as 'cut' })).rejects.toMatchObject({ reason: 'usage' });
  await expect(dev.link({ from: 'us', to: 'eu', action: 'delay', delay_ms: 1e9 })).rejects.toMatchObject({ reason: 'usage' });
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

test.each(['/../../package.json', '/%2e%2e/%2e%2e/main.js', '/..%2fmain.js', '/live.ts', '/nothing.html', '/x/live.css'])('%s is not served', async (path) => {
  expect((await get(path)).status).toBe(404);
});

test('[CLI-10] another site can neither reach it by a rebound name nor post to it', async () => {
  expect((await get('/dev/status', { host: 'evil.example' })).status).toBe(403);
  const response = await fetch(`${url}/dev/kill`, { method: 'POST', body: '{"target":"us"}', headers: { 'content-type': 'text/plain' } });
  expect(response.status).toBe(415);
  expect(commands).not.toContainEqual({ target: 'us' });
});
