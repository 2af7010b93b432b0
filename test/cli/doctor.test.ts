import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { connectNats } from '../../regions/nats-connection.ts';
import { createNatsLogWriter } from '../../regions/nats-log.ts';
import { doctor, type DoctorOptions } from '../../src/cli/doctor.ts';
import * as judge from '../../src/cli/doctor/findings.ts';
import type { Finding } from '../../src/cli/doctor/findings.ts';
import type { NatsServer } from '../../src/cli/dev/nats-server.ts';
import { CommandFailure } from '../../src/cli/failure.ts';
import type { Config } from '../../src/config.ts';
import { DEFAULT_BASE } from '../../src/moderation/policy.ts';
import { natsAvailable, startNats } from '../support/nats.ts';

interface Answer {
  readonly code: number;
  readonly lines: readonly string[];
  /** Check → its finding. */
  readonly found: ReadonlyMap<string, Finding>;
}

async function ask(config: () => Config, options: DoctorOptions = {}): Promise<Answer> {
  const lines: string[] = [];
  const code = await doctor({ json: true, ...options }, config, (line) => lines.push(line));
  const findings = options.json === false ? [] : (JSON.parse(lines[0]!) as { findings: Finding[] }).findings;
  return { code, lines, found: new Map(findings.map((finding) => [finding.check, finding])) };
}

function configOf(nats: Record<string, { readonly nats: { url: string }; readonly peer: { url: string } }>, changes: Partial<Config> = {}): Config {
  return {
    region: 'us',
    topology: { regions: new Map(Object.entries(nats)) },
    host: '127.0.0.1',
    port: 0,
    adminPort: 0,
    shardCount: 1,
    databaseUrl: null,
    jwt: { secret: 'x'.repeat(32) },
    origins: ['https://app.example'],
    policy: DEFAULT_BASE,
    logLevel: 'silent',
    viewersMax: 100,
    proxies: 0,
    ...changes,
  } as Config;
}

const NOWHERE = { url: 'nats://127.0.0.1:9' };

test('[OPS-1] what is wrong fails and says what to do about it, and nothing else was checked without a configuration', async () => {
  const broken = (): Config => {
    throw new CommandFailure('usage', 'OVATION_REGION is missing');
  };
  const { code, found } = await ask(broken);
  expect(code).toBe(1);
  expect([...found.keys()]).toEqual(['node', 'configuration']);
  expect(found.get('configuration')).toMatchObject({ level: 'fail', detail: 'OVATION_REGION is missing', advice: expect.stringContaining('ovation region --help') });
});

test('[OPS-1] servers that do not answer fail by name, and each says what to look at', async () => {
  const config = configOf({ us: { nats: NOWHERE, peer: NOWHERE }, eu: { nats: NOWHERE, peer: NOWHERE } }, { databaseUrl: 'postgres://127.0.0.1:9/none' });
  const { code, found } = await ask(() => config, { natsData: '/nowhere/at/all' });
  expect(code).toBe(1);
  for (const check of ['nats', 'peer eu', 'database', 'disk']) {
    expect(found.get(check), check).toMatchObject({ level: 'fail', advice: expect.stringMatching(/.{20,}/) });
  }
});

test('[OPS-1] a port that somebody else has fails; one that the region itself has does not', async () => {
  let answer: object = { reasons: {} };
  let status = 200;
  let metrics = 'reactions_build_info{version="1.0.0",node="20.19.0",region="us"} 1';
  const server = createServer(({ url }, response) => (url === '/metrics' ? response.end(metrics) : response.writeHead(status).end(JSON.stringify(answer))));
  // Not where everybody looks first.
  const host = '127.0.0.2';
  await new Promise<void>((resolve) => server.listen(0, host, resolve));
  const { port } = server.address() as AddressInfo;
  const config = configOf({ us: { nats: NOWHERE, peer: NOWHERE } }, { host, adminPort: port });
  expect((await ask(() => config)).found.get('ports')).toMatchObject({ level: 'ok', detail: expect.stringContaining('runs here') });
  [status, answer] = [503, { reasons: { log: 'the own log cannot be written' } }];
  expect((await ask(() => config)).found.get('ports')).toMatchObject({ level: 'fail', detail: expect.stringContaining('the own log cannot be written') });
  metrics = metrics.replace('us', 'eu');
  expect((await ask(() => config)).found.get('ports')).toMatchObject({ level: 'fail', detail: `the region eu runs at the admin port ${port}, not us` });
  metrics = '';
  expect((await ask(() => config)).found.get('ports')).toMatchObject({ level: 'fail', detail: expect.stringContaining('does not tell its region') });
  answer = { hello: 'world' };
  expect((await ask(() => config)).found.get('ports')).toMatchObject({ level: 'fail', detail: expect.stringContaining(`port ${port}`) });
  await new Promise((resolve) => server.close(resolve));
});

describe('[OPS-2] what is judged', () => {
  const natsFacts = { version: '2.10.27', maxPayload: 8 * 1024 ** 2, storage: { bytes: 0, bytesMax: null }, syncMs: 'always' as const };
  const levels = (...findings: Finding[]): string[] => findings.map(({ check, level }) => `${check} ${level}`);

  test('[OPS-2] versions', () => {
    expect(['20.18.0', '18.20.0', '20.20.2', '22.1.0', '24.0.1'].map((version) => judge.judgeNode(version).level)).toEqual(['fail', 'fail', 'warn', 'ok', 'ok']);
    expect(['2.9.10', '2.10.22', '2.10.23', '2.11.0', '3.0.0'].map((version) => judge.judgeNats({ ...natsFacts, version })[0]!.level)).toEqual(['warn', 'warn', 'ok', 'ok', 'ok']);
  });

  test('[OPS-2] NATS: payload, storage, and when it flushes', () => {
    expect(levels(...judge.judgeNats(natsFacts))).toEqual(['nats ok', 'nats storage ok', 'nats sync ok']);
    expect(levels(...judge.judgeNats({ ...natsFacts, maxPayload: 65_536, storage: { bytes: 9e9, bytesMax: 1e10 }, syncMs: 120_000 }))).toEqual([
      'nats ok',
      'nats payload fail',
      'nats storage warn',
      'nats sync warn',
    ]);
    const sync = (changes: object): string => judge.judgeNats({ ...natsFacts, ...changes }).at(-1)!.level;
    expect([{ syncMs: 1000 }, { syncMs: null }, { version: '2.9.10' }].map(sync)).toEqual(['ok', 'warn', 'warn']);
  });

  test('[OPS-2] clocks, by how far apart they are for certain', () => {
    const at = (otherMs: number, tookMs = 100): Finding => judge.judgeClock('eu', judge.clockOffset(1_000_000, otherMs, 1_000_000 + tookMs));
    expect([1_000_050, 1_001_049, 1_001_200, 998_000, 1_061_000, 930_000].map((otherMs) => at(otherMs).level)).toEqual(['ok', 'ok', 'warn', 'warn', 'fail', 'fail']);
    expect(at(998_000).detail).toBe('2050 ms behind this one, ±50 ms');
    expect([at(1_003_500, 4000), at(1_003_500, 100)].map(({ level }) => level)).toEqual(['ok', 'warn']);
  });

  test('[OPS-2] files, disk, peers, access', () => {
    expect([null, 1024, Infinity].map((limit) => judge.judgeOpenFiles(limit, 50_000).level)).toEqual(['warn', 'fail', 'ok']);
    expect([1e8, 1e9, 1e11].map((free) => judge.judgeDisk('/data', free).level)).toEqual(['fail', 'warn', 'ok']);
    expect([judge.judgePeer('eu', null, false), judge.judgePeer('eu', 5, true), judge.judgePeer('eu', 5, false)].map(({ level }) => level)).toEqual(['warn', 'warn', 'ok']);
    expect([judge.judgeAccess(false, ['*']), judge.judgeAccess(true, ['*']), judge.judgeAccess(true, ['https://a.example'])].map(({ level }) => level)).toEqual(['warn', 'warn', 'ok']);
    expect([judge.judgeMigrations(['004-x.sql']), judge.judgeMigrations([])].map(({ level }) => level)).toEqual(['fail', 'ok']);
  });
});

describe.skipIf(!natsAvailable)('on real nats-servers', () => {
  const servers = new Map<string, NatsServer>();

  beforeAll(async () => {
    for (const region of ['us', 'eu', 'ap']) servers.set(region, await startNats({ region }));
    for (const region of ['us', 'eu']) {
      const writer = createNatsLogWriter({ region, address: servers.get(region)!.address });
      await writer.open(() => {});
      await writer.close();
    }
  });
  afterAll(async () => {
    await Promise.all([...servers.values()].map((server) => server.stop()));
  });

  test('[OPS-3] a region whose surroundings are as they should be: its own NATS, the peers and their clocks are found well, and nothing is changed', async () => {
    const [us, eu, ap] = ['us', 'eu', 'ap'].map((region) => servers.get(region)!);
    const streams = async (): Promise<string[]> => {
      const nats = await connectNats(us!.address, 'test');
      const names = await nats.streamNames('>');
      await nats.close();
      return names;
    };
    const before = await streams();
    const config = configOf({
      us: { nats: us!.address, peer: us!.peerAddress },
      eu: { nats: eu!.peerAddress, peer: eu!.peerAddress },
      // Given more rights than a peer needs, and without a log.
      ap: { nats: ap!.address, peer: ap!.address },
    });
    const { code, found } = await ask(() => config, { natsData: us!.storeDir });
    expect(code, JSON.stringify([...found.values()])).toBe(0);
    expect(found.get('nats')!.detail).toContain(us!.version);
    for (const check of ['configuration', 'nats storage', 'clock of the own NATS', 'peer eu', 'clock of eu', 'access']) expect(found.get(check), check).toMatchObject({ level: 'ok' });
    expect(found.get('peer ap')).toMatchObject({ level: 'warn', detail: expect.stringContaining('no log') });
    expect(found.has('disk')).toBe(true);
    expect(await streams()).toEqual(before);

    const { lines } = await ask(() => config, { json: false });
    expect(lines.at(-1)).toMatch(/^Nothing fails; \d+ to look at\.$/);
    expect(lines).toContainEqual(expect.stringMatching(/^ok {4}clock of eu +\d+ ms (ahead of|behind) this one/));
  });

  test('[OPS-3] a peer that may read more than its log is told', async () => {
    const eu = servers.get('eu')!;
    const { found } = await ask(() => configOf({ us: { nats: NOWHERE, peer: NOWHERE }, eu: { nats: eu.address, peer: eu.address } }));
    expect(found.get('peer eu')).toMatchObject({ level: 'warn', advice: expect.stringContaining('0002-topology-of-nats.md') });
  });
});
