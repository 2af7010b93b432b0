import { expect, test } from 'vitest';
import { changeFor, processFor } from '../../src/cli/chaos.ts';
import type { DevClient } from '../../src/cli/dev/dev-client.ts';
import { deleteStreams } from '../../src/cli/nats-streams.ts';
import { connectNats } from '../../regions/nats-connection.ts';
import { createNatsLogWriter } from '../../regions/nats-log.ts';
import type { DevStatus } from '../../src/web/live/dev-api.ts';
import { natsAvailable, startNats } from '../support/nats.ts';

const STATUS = { regions: [], links: [], database: 'none' } as unknown as DevStatus;

function listen(): { readonly dev: DevClient; readonly asked: object[] } {
  const asked: object[] = [];
  const take = async (command: object): Promise<DevStatus> => {
    asked.push(command);
    return STATUS;
  };
  return { asked, dev: { status: () => take({ status: true }), link: take, process: take, deleteStream: take, crowd: take } };
}

test('[CLI-8] who waited for a change to end undoes nothing, for dev does, and a later command may have taken its place', async () => {
  const { dev, asked } = listen();
  const over = async (): Promise<'over'> => 'over';
  expect(await changeFor(dev, { from: 'us', to: 'eu', action: 'cut' }, 500, over)).toBe(STATUS);
  expect(await processFor(dev, { target: 'us', action: 'pause' }, 500, over)).toBe(STATUS);
  expect(asked).toEqual([
    { from: 'us', to: 'eu', action: 'cut', for_ms: 500 },
    { status: true },
    { target: 'us', action: 'pause', for_ms: 500 },
    { status: true },
  ]);
});

test('[CLI-8] an interruption undoes it at once', async () => {
  const { dev, asked } = listen();
  const interrupted = async (): Promise<'interrupted'> => 'interrupted';
  await changeFor(dev, { from: 'us', to: 'eu', action: 'lose', loss: 0.1 }, 500, interrupted);
  await processFor(dev, { target: 'us', action: 'stop' }, 500, interrupted);
  expect([asked[1], asked[3]]).toEqual([{ from: 'us', to: 'eu', action: 'heal' }, { target: 'us', action: 'resume' }]);
});

test.skipIf(!natsAvailable)('[CLI-7] a stream that is not there cannot be deleted, and the answer is no', async () => {
  const server = await startNats();
  try {
    for (const kind of ['log', 'journal', 'windows'] as const) await expect(deleteStreams('us', server.address, kind)).rejects.toMatchObject({ reason: 'no' });
    const writer = createNatsLogWriter({ region: 'us', address: server.address });
    await writer.open(() => {});
    await writer.close();
    expect(await deleteStreams('us', server.address, 'log')).toHaveLength(1);
    const nats = await connectNats(server.address, 'test');
    expect(await nats.streamNames('>')).toEqual([]);
    await nats.close();
  } finally {
    await server.stop();
  }
});
