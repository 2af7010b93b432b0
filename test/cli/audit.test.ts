/** `ovation audit` against regions that share their books. */

import { Command } from 'commander';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { addAuditCommand } from '../../src/cli/audit.ts';
import { CommandFailure } from '../../src/cli/failure.ts';
import { CountingRegion, startCountingRegions } from './counting-region.ts';

interface Audited {
  readonly code: number;
  readonly output: string;
}

let regions: CountingRegion[] = [];

beforeEach(async () => {
  regions = await startCountingRegions('us', 'eu');
  for (const region of regions) region.totalsOf('derby').set('heart', 3);
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await Promise.all(regions.map((region) => region.stop()));
});

async function audit(...args: readonly string[]): Promise<Audited> {
  const lines: string[] = [];
  const log = vi.spyOn(console, 'log').mockImplementation((line: string) => void lines.push(line));
  try {
    const program = new Command('ovation').exitOverride();
    addAuditCommand(program);
    await program.parseAsync(['audit', ...args], { from: 'user' });
    return { code: Number(process.exitCode ?? 0), output: lines.join('\n') };
  } finally {
    process.exitCode = undefined;
    log.mockRestore();
  }
}

function everywhere(): string {
  return regions.map(({ url }) => url).join(',');
}

test('[CLI-41] a stream of which nothing was ever counted does not balance, unless it may be empty', async () => {
  expect(await audit('--stream', 'derby', '--endpoint', everywhere())).toMatchObject({ code: 0, output: expect.stringContaining('The books balance: us, eu, the database agree on 2 entries.') });
  const typo = await audit('--stream', 'debry', '--endpoint', everywhere());
  expect(typo).toMatchObject({ code: 1, output: expect.stringMatching(/nothing was ever counted in debry: is this its name\?[\s\S]*There is nothing to balance\.$/) });
  const json = await audit('--stream', 'debry', '--endpoint', everywhere(), '--json');
  expect(JSON.parse(json.output)).toMatchObject({ balanced: false, total: 0, differences: [{ kind: 'empty' }] });
  expect(await audit('--stream', 'debry', '--endpoint', everywhere(), '--allow-empty')).toMatchObject({ code: 0, output: expect.stringContaining('The books balance') });
});

test('[CLI-40] the regions of the environment are asked, unless others are named', async () => {
  vi.stubEnv('OVATION_ENDPOINTS', everywhere());
  expect(await audit('--stream', 'derby')).toMatchObject({ code: 0, output: expect.stringContaining('us, eu') });
  expect((await audit('--stream', 'derby', '--endpoint', regions[0]!.url)).output).toContain('balance: us, the database');
  vi.stubEnv('OVATION_ENDPOINTS', 'us.example.org');
  await expect(audit('--stream', 'derby')).rejects.toMatchObject({ reason: 'usage', message: expect.stringContaining('OVATION_ENDPOINTS') });
});

test('[CLI-13] where regions ask for tokens, it signs a moderator’s with their secret, or shows the one that it was given', async () => {
  const secret = 'a secret of thirty-two characters';
  const closed = new CountingRegion('ap', regions, { jwt: { secret } });
  regions.push(closed);
  await closed.start();
  const asked = ['--stream', 'derby', '--endpoint', closed.url];
  await expect(audit(...asked)).rejects.toThrow(CommandFailure);
  vi.stubEnv('OVATION_JWT_SECRET', secret);
  expect((await audit(...asked)).code).toBe(0);
  vi.stubEnv('OVATION_TOKEN', 'a.b.c');
  await expect(audit(...asked)).rejects.toMatchObject({ reason: 'usage', message: expect.stringContaining('401') });
});
