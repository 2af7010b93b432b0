import { describe, expect, it } from 'vitest';
import { createLog } from '../../src/observability/log.ts';

function capture(level = 'debug'): { log: ReturnType<typeof createLog>; lines: () => Record<string, unknown>[] } {
  const written: string[] = [];
  const log = createLog({ region: 'eu', level, destination: { write: (line) => void written.push(line) } });
  return { log, lines: () => written.map((line) => JSON.parse(line) as Record<string, unknown>) };
}

describe('log', () => {
  it('[OBS-1] writes one JSON line per event, with region, level and time', () => {
    const { log, lines } = capture();
    log.info({ stream: 'derby' }, 'watched');
    log.warn({}, 'late');
    expect(lines()).toMatchObject([{ region: 'eu', level: 'info', stream: 'derby', msg: 'watched' }, { level: 'warn', msg: 'late' }]);
    expect(Date.parse(String(lines()[0]!['time']))).not.toBeNaN();
  });

  it('[OBS-2] never writes a secret, at the top or inside an object', () => {
    const { log, lines } = capture();
    log.error(
      { token: 'TOP', hello: { token: 'INNER' }, request: { headers: { authorization: 'Bearer DEEP' } }, config: { databaseUrl: 'postgres://u:PW@h/d' } },
      'refused',
    );
    const text = JSON.stringify(lines());
    for (const secret of ['TOP', 'INNER', 'DEEP', 'PW']) expect(text).not.toContain(secret);
    expect(lines()[0]).toMatchObject({ token: '[redacted]', hello: { token: '[redacted]' } });
  });

  it('[OBS-1] keeps message and stack of an error, as `error` and as `err`', () => {
    const { log, lines } = capture();
    log.error({ error: new TypeError('broken') }, 'failed');
    log.error({ err: new TypeError('broken') }, 'failed');
    expect(lines()[0]).toMatchObject({ error: { type: 'TypeError', message: 'broken', stack: expect.stringContaining('log.test') } });
    expect(lines()[1]).toMatchObject({ err: { message: 'broken' } });
  });

  it('[OBS-1] is silent below its level', () => {
    const { log, lines } = capture('warn');
    log.debug({}, 'detail');
    log.info({}, 'detail');
    expect(lines()).toEqual([]);
  });
});
