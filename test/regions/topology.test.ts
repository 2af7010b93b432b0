import { describe, expect, test } from 'vitest';
import { InvalidTopology, REGIONS_MAX, parseTopology } from '../../regions/topology.ts';

const address = { url: 'nats://127.0.0.1:4222', user: 'region', password: 'secret' };
const region = { nats: address, peer: { url: 'tls://us.example:4222' } };

describe('topology', () => {
  test('a valid file gives every region both addresses', () => {
    const topology = parseTopology({ regions: { us: region, eu: region } });
    expect([...topology.regions.keys()]).toEqual(['us', 'eu']);
    expect(topology.regions.get('us')).toEqual(region);
  });

  test.each<[string, unknown, string]>([
    ['nothing', undefined, 'the topology: an object'],
    ['a list', [], 'the topology: an object'],
    ['no regions', {}, 'the topology: "regions" is missing'],
    ['an empty set of regions', { regions: {} }, `regions: 1 to ${REGIONS_MAX}`],
    ['too many regions', { regions: Object.fromEntries(Array.from({ length: REGIONS_MAX + 1 }, (_, i) => [`r${i}`, region])) }, 'regions: 1 to'],
    ['a name with a dot', { regions: { 'us.east': region } }, '"us.east" must match'],
    ['a region without a peer address', { regions: { us: { nats: address } } }, 'us: "peer" is missing'],
    ['another protocol', { regions: { us: { ...region, nats: { url: 'http://host' } } } }, 'us.nats.url: nats://'],
    ['no URL', { regions: { us: { ...region, nats: { url: 7 } } } }, 'us.nats.url: nats://'],
    ['a password in the URL', { regions: { us: { ...region, peer: { url: 'nats://u:p@host' } } } }, 'us.peer.url: give user and password'],
    ['an empty user', { regions: { us: { ...region, nats: { ...address, user: '' } } } }, 'us.nats.user: a text'],
  ])('[LOG-14] refuses %s, and says where and what is expected', (_, document, message) => {
    expect(() => parseTopology(document)).toThrow(InvalidTopology);
    expect(() => parseTopology(document)).toThrow(message);
  });

  test('[LOG-14] a refusal never repeats a password', () => {
    let message = '';
    try {
      parseTopology({ regions: { us: { ...region, nats: { url: 'nats://user:hunter2@host' } } } });
    } catch (error) {
      message = (error as Error).message;
    }
    expect(message).toContain('us.nats.url');
    expect(message).not.toContain('hunter2');
  });
});
