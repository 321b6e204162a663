import fc from 'fast-check';
import { afterEach, describe, expect, test } from 'vitest';
import { type Cleanups, running } from '../testing.ts';
import { BUDGETS, type Figures, findings, percentile } from './budgets.ts';
import { PROBE_USAGE, probeCommand } from './probe-command.ts';

const cleanups: Cleanups = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup();
});

const TOKEN = 'a-token-for-the-probe';
/** A busy machine is no missed budget of the session's. */
const PATIENT = 'delay=5000,cold=10000,reconnect=10000';

async function probed(url: string, ...args: readonly string[]) {
  let [out, error] = ['', ''];
  const code = await probeCommand(['--url', url, '--token', TOKEN, ...args], {
    out: (text) => {
      out += text;
    },
    error: (text) => {
      error += text;
    },
  });
  return { code, out, error };
}

const http = (url: string): string => url.replace('ws:', 'http:').replace('/sync', '');

describe('a probe of a real server', () => {
  test.each([
    ['adventure', 'all', (url: string) => url],
    ['adventure', 'room', http],
    ['board', 'all', http],
  ] as const)('of %s, view %s: 0 where all is well', async (scenario, view, address) => {
    const server = await running(cleanups, { scenario, view, token: TOKEN });
    const { code, out, error } = await probed(
      address(server.url),
      '--seconds',
      '3',
      '--budget',
      `${PATIENT},typical=5000,peak=50000`,
      '--json',
    );
    expect(error).toBe('');
    const report = JSON.parse(out);
    expect(report.findings.filter(({ isMet }: { isMet: boolean }) => !isMet)).toEqual([]);
    expect(report).toMatchObject({ scenario, session: server.session, clients: 3, isMet: true });
    expect(code).toBe(0);
    const left = () => server.manager.clients.filter(({ replica }) => replica.startsWith('probe')).length;
    await expect.poll(left).toBe(0);
  });

  test('through a network that loses frames it is as well as the network allows', async () => {
    const server = await running(cleanups, { token: TOKEN });
    const budget = `${PATIENT},typical=5000,peak=50000`;
    const { code, out } = await probed(server.url, '--seconds', '4', '--network', 'train', '--budget', budget);
    expect(out).toContain('network train');
    expect(out).toContain('Every budget is met.');
    expect(code).toBe(0);
  });

  test('1 where the server is slow, and which budget it missed', async () => {
    const latency = { spec: { fault: 'latency', mean: 600, jitter: 0 }, at: 0 } as const;
    const server = await running(cleanups, { token: TOKEN, faults: [latency] });
    const { code, out } = await probed(server.url, '--seconds', '4', '--clients', '2');
    expect(out).toMatch(/MISSED {2}delay/);
    expect(out).toMatch(/ok {6}agreement/);
    expect(code).toBe(1);
  });

  test('2 where nothing is there, or the token is wrong', async () => {
    const server = await running(cleanups, { token: 'another-token-than-that' });
    expect(await probed(server.url)).toMatchObject({
      code: 2,
      out: '',
      error: expect.stringContaining('PROBE_REFUSED'),
    });
    await server.close();
    expect(await probed(server.url)).toMatchObject({ code: 2, error: expect.stringContaining('PROBE_UNREACHABLE') });
  });
});

test.each([
  [['--clients', '1'], '--clients 1: a whole number from 2 to 50'],
  [['--network', 'carrier-pigeon'], '--network carrier-pigeon: one of healthy'],
  [['--budget', 'delay=fast'], '--budget delay=fast: NAME=NUMBER'],
  [['--budget', 'toString=1'], '--budget toString=1: NAME=NUMBER'],
  [['--url', 'ftp://x'], '--url: ws://HOST:PORT/sync'],
  [['--rain'], "Unknown option '--rain'"],
])('%j is answered with 2 and what is allowed', async (args, message) => {
  const { code, error } = await probed('ws://127.0.0.1:1/sync', ...args);
  expect(code).toBe(2);
  expect(error).toContain(message);
  expect(error).toContain(PROBE_USAGE);
});

describe('findings', () => {
  const good: Figures = {
    coldStarts: [100],
    reconnects: [50],
    resumed: 1,
    delays: [120, 80],
    bytes: [500, 800],
    compared: 3,
    disagreements: [],
    network: 0,
  };
  const missed = (figures: Partial<Figures>): string[] =>
    findings({ ...good, ...figures }, BUDGETS).flatMap(({ name, isMet }) => (isMet ? [] : [name]));

  test('are met where nothing is over its budget, and name what is', () => {
    expect(missed({})).toEqual([]);
    expect(missed({ coldStarts: [100, 2_001] })).toEqual(['cold start']);
    expect(missed({ reconnects: [1_001] })).toEqual(['reconnect']);
    expect(missed({ resumed: 0 })).toEqual(['resumed']);
    expect(missed({ delays: [151, 152, 10] })).toEqual(['delay']);
    expect(missed({ delays: [151, 152, 10], network: 1 })).toEqual([]);
    expect(missed({ bytes: [1_001, 10_001] })).toEqual(['bytes typical', 'bytes peak']);
    expect(missed({ disagreements: ['anna and bert differ'] })).toEqual(['agreement']);
  });

  test('are not met where nothing was measured', () => {
    const nothing = { coldStarts: [], reconnects: [], resumed: 0, delays: [], bytes: [], compared: 0 };
    expect(missed(nothing)).toHaveLength(7);
  });

  test('take percentiles as a plain count does', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer(), { minLength: 1 }),
        fc.double({ min: 0.01, max: 1, noNaN: true }),
        (values, share) => {
          const found = percentile(values, share)!;
          expect(values.filter((one) => one <= found).length).toBeGreaterThanOrEqual(share * values.length);
          expect(values.filter((one) => one < found).length).toBeLessThan(share * values.length);
        },
      ),
    );
  });
});
