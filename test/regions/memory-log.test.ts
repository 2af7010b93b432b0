import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { LogSnapshot } from '../../regions/compacted-log.ts';
import { LogUnavailable, type LogWriter } from '../../regions/log.ts';
import { createMemoryNetwork, type MemoryNetwork } from '../../regions/memory-log.ts';
import { realRuntime } from '../../src/base/runtime.ts';
import { Following, logContract, message, texts } from '../contracts/log-contract.ts';
import { createSimulatedRuntime, type SimulatedRuntime } from '../support/simulated-runtime.ts';

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
  let runtime: SimulatedRuntime;
  let network: MemoryNetwork;
  let writer: LogWriter;
  let following: Following;

  beforeEach(async () => {
    runtime = createSimulatedRuntime(1);
    network = createMemoryNetwork(runtime);
    writer = network.writer('us');
    await writer.open(() => {});
    network.delay('us', 'eu', 60);
    following = new Following(network.reader('us', 'eu'), null);
    await runtime.runFor(60);
    expect(following.starts).toHaveLength(1);
  });

  afterEach(async () => {
    await following.stop();
    expect(runtime.pendingTimers).toBe(0);
  });

  test('a cut is one-way', async () => {
    network.cut('us', 'eu');
    const eu = network.writer('eu');
    await eu.open(() => {});
    const back = new Following(network.reader('eu', 'us'), null);
    await writer.append([message('a', 'us')]);
    await eu.append([message('a', 'eu')]);
    await runtime.runFor(1_000);
    expect([texts(following.messages), texts(back.messages)]).toEqual([[], ['a=eu']]);
    expect(network.links()).toContainEqual({ from: 'us', to: 'eu', cut: true, delayMs: 60 });
    await back.stop();
  });

  test('a delay holds messages back, and a shorter one lets none overtake', async () => {
    await writer.append([message('a', '1')]);
    await runtime.runFor(59);
    expect(following.messages).toEqual([]);
    await runtime.runFor(1);
    expect(texts(following.messages)).toEqual(['a=1']);
    await writer.append([message('b', '1')]);
    network.delay('us', 'eu', 0);
    await writer.append([message('c', '1')]);
    await runtime.runFor(59);
    expect(texts(following.messages)).toEqual(['a=1']);
    await runtime.runFor(1);
    expect(texts(following.messages)).toEqual(['a=1', 'b=1', 'c=1']);
  });

  test('what a cut catches on its way comes after the heal', async () => {
    await writer.append([message('a', '1')]);
    await runtime.runFor(30);
    await writer.append([message('b', '1')]);
    network.cut('us', 'eu');
    // Until the first was lost and the second is still on its way.
    await runtime.runFor(40);
    await writer.append([message('c', '1')]);
    network.heal('us', 'eu');
    await runtime.runFor(60);
    expect(texts(following.messages)).toEqual(['a=1', 'b=1', 'c=1']);
  });

  test('a reader gives up after three seconds of cut, and does not connect over one', async () => {
    network.cut('us', 'eu');
    expect(await runtime.settle(following.ended, 4_000)).toBeInstanceOf(LogUnavailable);
    const again = new Following(network.reader('us', 'eu'), null);
    expect(await runtime.settle(again.ended, 2_000)).toBeInstanceOf(LogUnavailable);
    expect(again.starts).toEqual([]);
  });

  test('a reader that cannot keep up is sent the last version of what it missed', async () => {
    for (let round = 0; round < 1_000; round += 1) await writer.append([message('row', String(round))]);
    await runtime.runFor(1_000);
    expect(texts(following.messages).at(-1)).toBe('row=999');
    expect(following.messages.length).toBeLessThan(100);
    expect(network.log('us').size).toBe(1);
  });
});
