import { expect, test } from 'vitest';
import { collectHttpUrls, parseDuration, parseHttpUrl, parseIds, parseInteger, parsePositive } from '../../src/cli/arguments.ts';

test('durations have units, and are seconds without', () => {
  expect(['150ms', '10s', '1.5m', '2h', '20', '0.5'].map(parseDuration)).toEqual([150, 10_000, 90_000, 7_200_000, 20_000, 500]);
});

test.each(['', 's', '-1s', '10 s', '1d', '1e3', 'NaN', '٣s'])('"%s" is no duration', (text) => {
  expect(() => parseDuration(text)).toThrow('Expected a duration');
});

test('integers and numbers are bounded', () => {
  expect(parseInteger(1, 10)('10')).toBe(10);
  for (const text of ['0', '11', '1.5', '-1', '', '0x5', ' 5']) expect(() => parseInteger(1, 10)(text)).toThrow('from 1 to 10');
  expect(parsePositive(60)('0.5')).toBe(0.5);
  for (const text of ['0', '61', 'Infinity', '']) expect(() => parsePositive(60)(text)).toThrow('above 0');
});

test('region lists follow the grammar of ids and name none twice', () => {
  expect(parseIds('us, eu')).toEqual(['us', 'eu']);
  for (const text of ['', 'us,', 'us,us', 'us.eu', '*']) expect(() => parseIds(text)).toThrow();
});

test('endpoints are http URLs, given once each or as a list', () => {
  expect(parseHttpUrl('http://127.0.0.1:8081/')).toBe('http://127.0.0.1:8081');
  expect(collectHttpUrls('http://b,http://c', ['http://a'])).toEqual(['http://a', 'http://b', 'http://c']);
  for (const text of ['127.0.0.1:8081', 'ws://a', '']) expect(() => parseHttpUrl(text)).toThrow('Expected a URL');
});
