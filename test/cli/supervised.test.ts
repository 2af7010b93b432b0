import { expect, test } from 'vitest';
import { Supervised, type Startable } from '../../src/cli/dev/supervised.ts';
import { createSimulatedRuntime } from '../support/simulated-runtime.ts';

class FakeProcess implements Startable {
  readonly name = 'region us';
  pid: number | null = null;
  starts = 0;
  failures = 0;
  #end: (reason: string) => void = () => {};
  #ended = Promise.resolve('');

  async start(): Promise<void> {
    this.starts += 1;
    if (this.failures > 0) {
      this.failures -= 1;
      throw new Error('no room');
    }
    this.pid = this.starts;
    this.#ended = new Promise((resolve) => (this.#end = resolve));
  }

  ended(): Promise<string> {
    return this.#ended;
  }

  async stop(): Promise<void> {
    this.kill();
  }

  kill(): void {
    this.pid = null;
    this.#end('SIGKILL');
  }
}

function setUp() {
  const runtime = createSimulatedRuntime(7);
  const process = new FakeProcess();
  const said: string[] = [];
  const signals: string[] = [];
  const supervised = new Supervised(process, runtime, (line) => said.push(line), (pid, signal) => void signals.push(`${signal} ${pid}`));
  return { runtime, process, said, signals, supervised };
}

test('[CLI-9] a process that dies is started again, and says so', async () => {
  const { runtime, said, supervised } = setUp();
  await supervised.start();
  supervised.kill();
  await runtime.runUntil(() => supervised.restarts === 1, 10_000);
  expect(supervised).toMatchObject({ state: 'running', pid: 2 });
  expect(said).toEqual(['region us ended (SIGKILL); starting it again', 'region us is back (pid 2)']);
  await supervised.stop();
});

test('[CLI-9] one that cannot be started is tried with growing pauses for as long as it is wanted', async () => {
  const { runtime, process, said, supervised } = setUp();
  await supervised.start();
  process.failures = 1000;
  supervised.kill();
  await runtime.runFor(600_000);
  expect(supervised.state).toBe('restarting');
  expect(process.starts).toBeGreaterThan(40);
  expect(process.starts).toBeLessThan(300);
  expect(said).toContain('region us could not be started: no room');
  process.failures = 0;
  await runtime.runUntil(() => supervised.state === 'running', 20_000);
  await supervised.stop();
});

test('[CLI-9] one that is stopped stays stopped, also when it was about to be started again', async () => {
  const { runtime, process, supervised } = setUp();
  await supervised.start();
  supervised.kill();
  await runtime.runFor(1);
  expect(supervised.state).toBe('restarting');
  await runtime.settle(supervised.stop());
  await runtime.runFor(60_000);
  expect(process.starts).toBe(1);
  expect(supervised.state).toBe('stopped');
  expect(runtime.pendingTimers).toBe(0);
});

test('a first start that fails is not retried: something is wrong that no restart mends', async () => {
  const { process, supervised } = setUp();
  process.failures = 1;
  await expect(supervised.start()).rejects.toThrow('no room');
  expect(process.starts).toBe(1);
});

test('[CLI-33] one that is halted stays so until it is wanted again', async () => {
  const { runtime, process, said, supervised } = setUp();
  await supervised.start();
  await supervised.halt();
  await runtime.runFor(600_000);
  expect([supervised.state, supervised.pid, process.starts]).toEqual(['stopped', null, 1]);
  supervised.resume();
  await runtime.runUntil(() => supervised.state === 'running', 10_000);
  expect([process.starts, said[0]]).toEqual([2, 'region us ended (SIGKILL), as it was told to']);
  await supervised.halt();
  await supervised.stop();
  expect(process.starts).toBe(2);
});

test('[CLI-33] one that is halted while it waits to be started again is not started', async () => {
  const { runtime, process, supervised } = setUp();
  await supervised.start();
  supervised.kill();
  await runtime.runFor(1);
  expect(supervised.state).toBe('restarting');
  await supervised.halt();
  expect(supervised.state).toBe('stopped');
  await runtime.runFor(600_000);
  expect([supervised.state, process.starts]).toEqual(['stopped', 1]);
  supervised.resume();
  await runtime.runUntil(() => supervised.state === 'running', 10_000);
  expect(process.starts).toBe(2);
  await supervised.stop();
});

test('[CLI-33] one that is paused lives, and goes on also when it is to stop', async () => {
  const { signals, process, supervised } = setUp();
  await supervised.start();
  supervised.pause();
  supervised.pause();
  expect([supervised.state, process.pid]).toEqual(['paused', 1]);
  supervised.resume();
  supervised.resume();
  expect(supervised.state).toBe('running');
  supervised.pause();
  await supervised.stop();
  expect(signals).toEqual(['SIGSTOP 1', 'SIGCONT 1', 'SIGSTOP 1', 'SIGCONT 1']);
});
