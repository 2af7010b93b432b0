import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { InvalidConfig, readConfig, readEndpoints, readJwtSecret, readToken, type Config } from '../src/config.ts';

const SECRET = 'a secret of thirty-two characters';

let folder: string;
beforeEach(() => (folder = mkdtempSync(path.join(tmpdir(), 'ovation-config-'))));
afterEach(() => rmSync(folder, { recursive: true }));

test('the secret of tokens comes from a variable or a file, and a short one is refused', () => {
  const file = path.join(folder, 'secret');
  writeFileSync(file, `${SECRET}\n`);
  expect(readJwtSecret({})).toBe(null);
  expect(readJwtSecret({ OVATION_JWT_SECRET: SECRET })).toBe(SECRET);
  expect(readJwtSecret({ OVATION_JWT_SECRET_FILE: file })).toBe(SECRET);
  expect(() => readJwtSecret({ OVATION_JWT_SECRET: 'short' })).toThrow(InvalidConfig);
});

test('[CLI-40] the regions to ask and the token to show come from variables, the token or its file', () => {
  const file = path.join(folder, 'token');
  writeFileSync(file, 'a.b.c\n');
  expect([readEndpoints({}), readToken({})]).toEqual([null, null]);
  expect(readEndpoints({ OVATION_ENDPOINTS: 'http://us,http://eu' })).toBe('http://us,http://eu');
  expect([readToken({ OVATION_TOKEN: 'd.e.f' }), readToken({ OVATION_TOKEN_FILE: file })]).toEqual(['d.e.f', 'a.b.c']);
  writeFileSync(file, '\n');
  expect(() => readToken({ OVATION_TOKEN_FILE: file })).toThrow(InvalidConfig);
});

function read(changes: Readonly<Record<string, string>>): Config {
  const topology = path.join(folder, 'topology.json');
  const address = { url: 'nats://127.0.0.1:4222' };
  writeFileSync(topology, JSON.stringify({ regions: { us: { nats: address, peer: address } } }));
  return readConfig({ OVATION_REGION: 'us', OVATION_TOPOLOGY: topology, ...changes });
}

test.each(['https://keys.example.org/jwks.json', 'http://127.0.0.1:9000/jwks'])('keys may be at %s', (jwksUrl) => {
  expect(read({ OVATION_JWKS_URL: jwksUrl }).jwt).toEqual({ jwksUrl });
});

test.each(['keys.example.org', 'file:///etc/jwks.json', 'ftp://keys.example.org', 'https://', 'https:keys'])('keys cannot be at %s', (jwksUrl) => {
  const reading = (): Config => read({ OVATION_JWKS_URL: jwksUrl });
  expect(reading).toThrow(InvalidConfig);
  expect(reading).toThrow('OVATION_JWKS_URL: an http:// or https:// URL');
});

test.each(['mysql://localhost/windows', 'postgres', 'postgres://ann:secret@:5432/windows'])('windows cannot be at %s', (url) => {
  expect(() => read({ OVATION_DATABASE_URL: url })).toThrow(InvalidConfig);
});

test('origins are any, or a list of origins as browsers send them', () => {
  expect(read({}).origins).toEqual(['*']);
  expect(read({ OVATION_ORIGINS: 'https://example.org, http://localhost:5173,http://[::1]:8080' }).origins).toEqual([
    'https://example.org',
    'http://localhost:5173',
    'http://[::1]:8080',
  ]);
  expect(read({ OVATION_ORIGINS: 'capacitor://localhost' }).origins).toEqual(['capacitor://localhost']);
});

test.each([
  'example.org',
  'https://example.org/',
  'https://example.org/live',
  'https://Example.org',
  'https://example.org:443',
  'https://ann@example.org',
  'https://*.example.org',
  'file:///',
  'null',
])('%s is no origin', (origin) => {
  const reading = (): Config => read({ OVATION_ORIGINS: `https://example.com,${origin}` });
  expect(reading).toThrow(InvalidConfig);
  expect(reading).toThrow(`OVATION_ORIGINS: "${origin}" is neither * nor an origin`);
});

test('a list of origins has no gaps', () => {
  expect(() => read({ OVATION_ORIGINS: 'https://example.org,' })).toThrow(InvalidConfig);
});
