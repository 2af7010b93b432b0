import { beforeEach, expect, test } from 'vitest';
import { Processes } from '../../src/cli/dev/processes.ts';
import type { Startable, Supervised } from '../../src/cli/dev/supervised.ts';
import { createSimulatedRuntime } from '../support/simulated-runtime.ts';

let did: string[];
let twins: Startable[];
let runtime: ReturnType<typeof createSimulatedRuntime>;
let processes: Processes;
let endTwin: () => void;

beforeEach(() => {
  did = [];
  twins = [];
  runtime = createSimulatedRuntime(3);
  const named = (name: string): [string, Supervised] => [
    name,
    {
      kill: () => did.push(`kill ${name}`),
      pause: () => did.push(`pause ${name}`),
      halt: async () => void did.push(`halt ${name}`),
      resume: () => did.push(`resume ${name}`),
    } as unknown as Supervised,
  ];
  const ended = new Promise<string>((resolve) => (endTwin = () => resolve('exit code 1')));
  const twin = (region: string): Startable | null => {
    if (region !== 'us') return null;
    const made: Startable = {
      name: region,
      pid: 1,
      start: async () => void did.push('start twin'),
      ended: () => ended,
      stop: async () => void did.push('stop twin'),
      kill: () => {},
    };
    twins.push(made);
    return made;
  };
  processes = new Processes({ processes: new Map([named('us'), named('us-nats'), named('database')]), twin, deleteStream: async () => {} }, runtime.timers);
});

test('[CLI-8] what is done to a process for a while undoes itself; a later command takes its place', async () => {
  await processes.change({ target: 'us', action: 'pause', for_ms: 1000 });
  await runtime.runFor(1001);
  expect(did).toEqual(['pause us', 'resume us']);
  await processes.change({ target: 'database', action: 'stop', for_ms: 1000 });
  await processes.change({ target: 'database', action: 'start' });
  await processes.change({ target: 'us-nats', action: 'kill' });
  await runtime.runFor(5000);
  expect(did.slice(2)).toEqual(['halt database', 'resume database', 'kill us-nats']);
});

test('[CLI-34] a region has one double at most, which ends when told to, with dev, or by itself', async () => {
  await processes.change({ target: 'us', action: 'duplicate', for_ms: 1000 });
  await expect(processes.change({ target: 'us', action: 'duplicate' })).rejects.toMatchObject({ reason: 'usage', message: expect.stringContaining('already') });
  await processes.change({ target: 'us', action: 'resume' });
  expect(did).toEqual(['start twin', 'resume us', 'stop twin']);
  await processes.change({ target: 'us', action: 'duplicate' });
  await processes.stop();
  expect(did.slice(3)).toEqual(['start twin', 'stop twin']);
  await processes.change({ target: 'us', action: 'duplicate' });
  endTwin();
  await runtime.runFor(1);
  await processes.change({ target: 'us', action: 'duplicate' });
  expect(twins).toHaveLength(4);
  await expect(processes.change({ target: 'database', action: 'duplicate' })).rejects.toMatchObject({ reason: 'usage', message: expect.stringContaining('no region') });
});

test('[CLI-7] a process that there is not is named together with those that there are', async () => {
  await expect(processes.change({ target: 'xx', action: 'kill' })).rejects.toMatchObject({ reason: 'usage', message: 'there is no xx; there are us, us-nats, database' });
  const embedded = new Processes({ processes: new Map(), twin: () => null, deleteStream: async () => {} }, runtime.timers);
  await expect(embedded.change({ target: 'us', action: 'kill' })).rejects.toMatchObject({ message: expect.stringContaining('install nats-server') });
});
