import { expect, test } from 'vitest';
import { Links } from '../../src/cli/dev/links.ts';
import { createSimulatedRuntime } from '../support/simulated-runtime.ts';

function setUp({ packets = true } = {}) {
  const runtime = createSimulatedRuntime(1);
  const directions = new Map<string, string>();
  const set = (from: string, to: string, change: string): void => void directions.set(`${from}>${to}`, change);
  const delays = new Map<string, number>();
  const losses = new Map<string, number>();
  const links = new Links(
    ['us', 'eu', 'ap'],
    {
      cut: (from, to) => set(from, to, 'cut'),
      heal: (from, to) => set(from, to, 'up'),
      delay: (from, to, delayMs) => void delays.set(`${from}>${to}`, delayMs),
      ...(packets
        ? {
            silence: (from: string, to: string) => set(from, to, 'silent'),
            lose: (from: string, to: string, share: number) => void losses.set(`${from}>${to}`, share),
          }
        : {}),
    },
    runtime.timers,
  );
  return { runtime, directions, delays, losses, links };
}

test('a link is cut and healed in both directions, whichever way it is named', () => {
  const { links, directions } = setUp();
  links.change({ from: 'eu', to: 'us', action: 'cut' });
  expect(Object.fromEntries(directions)).toEqual({ 'us>eu': 'cut', 'eu>us': 'cut' });
  expect(links.status()).toEqual([
    { from: 'us', to: 'eu', state: 'cut', delay_ms: 0 },
    { from: 'us', to: 'ap', state: 'up', delay_ms: 0 },
    { from: 'eu', to: 'ap', state: 'up', delay_ms: 0 },
  ]);
  links.change({ from: 'us', to: 'eu', action: 'heal' });
  expect(Object.fromEntries(directions)).toEqual({ 'us>eu': 'up', 'eu>us': 'up' });
});

test('[CLI-8] a change for a while undoes itself; a later command takes its place', async () => {
  const { links, runtime } = setUp();
  const state = (): string => links.status()[0]!.state;
  links.change({ from: 'us', to: 'eu', action: 'cut', for_ms: 1000 });
  await runtime.runFor(999);
  expect(state()).toBe('cut');
  await runtime.runFor(1);
  expect(state()).toBe('up');
  links.change({ from: 'us', to: 'eu', action: 'cut', for_ms: 1000 });
  links.change({ from: 'us', to: 'eu', action: 'cut' });
  await runtime.runFor(5000);
  expect(state()).toBe('cut');
});

test('a delay is shown, survives no healing, and all links heal at once', () => {
  const { links, delays } = setUp();
  links.change({ from: '*', to: '*', action: 'delay', delay_ms: 75 });
  expect(links.status().every(({ state, delay_ms }) => state === 'delayed' && delay_ms === 75)).toBe(true);
  expect([...delays.values()]).toEqual(Array(6).fill(75));
  links.change({ from: '*', to: '*', action: 'heal' });
  expect([...delays.values()]).toEqual(Array(6).fill(0));
});

test('an unknown link is named together with those that there are', () => {
  const { links } = setUp();
  expect(() => links.change({ from: 'us', to: 'xx', action: 'cut' })).toThrow('no link between us and xx; there are: us eu, us ap, eu ap');
  expect(() => links.change({ from: 'us', to: 'us', action: 'cut' })).toThrow('no link');
});

test('[CLI-28] a half-open link loses the words of the region named first, and heals whole', () => {
  const { links, directions } = setUp();
  links.change({ from: 'eu', to: 'us', action: 'half-open' });
  expect(Object.fromEntries(directions)).toEqual({ 'us>eu': 'up', 'eu>us': 'silent' });
  expect(links.status()[0]).toEqual({ from: 'us', to: 'eu', state: 'half-open', delay_ms: 0, lost_from: 'eu' });
  expect(() => links.change({ from: '*', to: '*', action: 'half-open' })).toThrow('name both regions');
  links.change({ from: 'us', to: 'eu', action: 'heal' });
  expect(directions.get('eu>us')).toBe('up');
  expect(links.status()[0]).toEqual({ from: 'us', to: 'eu', state: 'up', delay_ms: 0 });
});

test('[CLI-29] a link loses a share each way until it is healed', () => {
  const { links, losses } = setUp();
  links.change({ from: 'us', to: 'ap', action: 'lose', loss: 0.05 });
  expect(links.status()[1]).toEqual({ from: 'us', to: 'ap', state: 'lossy', delay_ms: 0, loss: 0.05 });
  expect(Object.fromEntries(losses)).toEqual({ 'us>ap': 0.05, 'ap>us': 0.05 });
  links.change({ from: '*', to: '*', action: 'heal' });
  expect(losses.get('ap>us')).toBe(0);
});

test('[CLI-11] links without packets cannot lose any, and say what is needed', () => {
  const { links } = setUp({ packets: false });
  for (const action of ['half-open', 'lose'] as const) {
    expect(() => links.change({ from: 'us', to: 'eu', action })).toThrow('install nats-server');
  }
});
