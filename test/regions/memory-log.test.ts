import { describe, expect, test } from 'vitest';
import { createMemoryNetwork } from '../../regions/memory-log.ts';
import type { LogSnapshot } from '../../regions/compacted-log.ts';
import { realRuntime } from '../../src/base/runtime.ts';
import { Following, logContract, message, texts } from '../contracts/log-contract.ts';

logContract('memory', async () => {
  let network = createMemoryNetwork(realRuntime);
  let snapshot: LogSnapshot | undefined;
  return {
    writer: (logBytesMax) => {
      if (logBytesMax !== undefined) network = createMemoryNetwork(realRuntime, { logBytesMax });
      return network.writer('us');
    },
    reader: () => network.reader('us', 'eu'),
    wipe: async () => network.log('us').wipe(),
    snapshot: async () => {
      snapshot = network.log('us').snapshot();
    },
    restore: async () => {
      if (snapshot !== undefined) network.log('us').restore(snapshot);
    },
    stop: async () => network.log('us').setAvailable(false),
    start: async () => network.log('us').setAvailable(true),
    cutReader: () => network.cut('us', 'eu'),
    healReader: () => network.heal('us', 'eu'),
    appendUnanswered: async (writer, messages) => {
      network.log('us').failNextAppend(messages.length);
      return writer.append(messages).catch((error: unknown) => error);
    },
    close: async () => {},
  };
});

describe('memory network', () => {
  test('a cut is one-way', async () => {
    const network = createMemoryNetwork(realRuntime);
    network.cut('us', 'eu');
    const us = network.writer('us');
    const eu = network.writer('eu');
    await us.open(() => {});
    await eu.open(() => {});
    const euReadsUs = new Following(network.reader('us', 'eu'), null);
    const usReadsEu = new Following(network.reader('eu', 'us'), null);
    await us.append([message('a', 'us')]);
    await eu.append([message('a', 'eu')]);
    await expect.poll(() => texts(usReadsEu.messages)).toEqual(['a=eu']);
    expect(euReadsUs.messages).toEqual([]);
    expect(network.links()).toContainEqual({ from: 'us', to: 'eu', cut: true, delayMs: 0 });
    await Promise.all([euReadsUs.stop(), usReadsEu.stop()]);
  });

  test('a delay holds messages back, keeps their order, and a cut that heals in time loses none', async () => {
    const network = createMemoryNetwork(realRuntime);
    network.delay('us', 'eu', 60);
    const writer = network.writer('us');
    await writer.open(() => {});
    const following = new Following(network.reader('us', 'eu'), null);
    await expect.poll(() => following.starts.length).toBe(1);
    const before = performance.now();
    await writer.append([message('a', '1')]);
    await expect.poll(() => following.messages.length, { interval: 5 }).toBe(1);
    expect(performance.now() - before).toBeGreaterThanOrEqual(55);
    await writer.append([message('b', '1')]);
    network.cut('us', 'eu');
    await writer.append([message('c', '1')]);
    network.delay('us', 'eu', 0);
    network.heal('us', 'eu');
    await writer.append([message('d', '1')]);
    await expect.poll(() => texts(following.messages)).toEqual(['a=1', 'b=1', 'c=1', 'd=1']);
    await following.stop();
  });

  test('a reader that cannot keep up is sent the last version of what it missed', async () => {
    const network = createMemoryNetwork(realRuntime);
    network.delay('us', 'eu', 50);
    const writer = network.writer('us');
    await writer.open(() => {});
    const following = new Following(network.reader('us', 'eu'), null);
    await expect.poll(() => following.starts.length).toBe(1);
    for (let round = 0; round < 1_000; round += 1) await writer.append([message('row', String(round))]);
    await expect.poll(() => texts(following.messages).at(-1)).toBe('row=999');
    expect(following.messages.length).toBeLessThan(100);
    expect(network.log('us').size).toBe(1);
    await following.stop();
  });
});
