import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { recordSimulation } from '@syncscope/protocol/simulator';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type RunningServer, startSampleServer } from '../support/sample-server.ts';
import { cli, cliJson, startCli } from './cli.ts';

const folder = mkdtempSync(join(tmpdir(), 'syncscope-compare-'));
const env = { SYNCSCOPE_SESSIONS_DIR: join(folder, 'sessions') };
const path = (name: string): string => join(folder, name);
const [first, second] = [path('first.mcap'), path('second.mcap')];
let server: RunningServer;

interface Comparison {
  readonly earlier?: { readonly left?: { readonly records: number; readonly version: number } };
  readonly differences: ReadonlyArray<{ readonly differs: string; readonly resumes?: unknown }>;
  readonly aligned: Readonly<Record<string, number>>;
}

/** Waits until a recording has grown beyond so many bytes. */
function grown(file: string, bytes: number): Promise<unknown> {
  const size = (): number => statSync(file, { throwIfNoEntry: false })?.size ?? 0;
  return expect.poll(size, { timeout: 90_000 }).toBeGreaterThan(bytes);
}

beforeAll(async () => {
  server = await startSampleServer(['--bots', '3', '--seed', '7'], env);
}, 60_000);

afterAll(async () => {
  await server.program.stop();
  rmSync(folder, { recursive: true, force: true });
});

describe('two recorders of one session', () => {
  it('of which one began later differ in nothing but that the other went on', async () => {
    const recorder = startCli(['record', '--url', server.pageUrl, '--unredacted', '-o', first], env);
    await grown(first, 12_000);
    const later = startCli(['record', '--url', server.pageUrl, '--unredacted', '-o', second], env);
    await grown(second, 12_000);
    await later.stop('SIGINT');
    await recorder.stop('SIGINT');
    const { document } = await cliJson(['compare', first, second]);
    const { earlier, differences, aligned } = document as unknown as Comparison;
    expect(earlier?.left?.records).toBeGreaterThan(100);
    expect(earlier?.left?.version).toBeGreaterThan(0);
    expect(aligned).toMatchObject({ changed: 0, renumbered: 0, onlyRight: 0 });
    expect(aligned.same).toBeGreaterThan(100);
    for (const { differs, resumes } of differences) expect([differs, resumes]).toEqual(['left', undefined]);
    const { stdout } = await cli(['compare', second, first]);
    expect(stdout).toMatch(/first\.mcap begins earlier: [\d,]+ records, up to version \d+/);
    expect(stdout).toMatch(/records: [\d,]+ alike/);
  }, 240_000);
});

describe('a run and the same with one message lost', () => {
  it('part at its receipt, and are alike again behind it', async () => {
    const { capture, records } = await recordSimulation({ seed: 11, without: ['crash', 'disk', 'corrupt', 'clock'] });
    const [run, branch] = [path('run.mcap'), path('branch.mcap')];
    writeFileSync(run, capture);
    const lost = records.find(({ body, time }) => {
      return body.kind === 'receive' && body.type === 'DELTA_SYNC' && time > 300e6;
    })!;
    expect((await cli(['whatif', run, '--at', `${lost.seq}`, '--drop', '-o', branch])).code).toBe(0);
    const { code, document } = await cliJson(['compare', run, branch]);
    expect(code).toBe(1);
    expect(document.first).toMatchObject({
      replica: lost.replica,
      left: { seq: lost.seq, identity: expect.stringContaining('receive DELTA_SYNC') },
      resumes: { left: { seq: expect.any(Number) }, right: { seq: expect.any(Number) } },
    });
    const { stdout } = await cli(['compare', run, branch]);
    expect(stdout).toContain('alike again from');
  }, 180_000);
});
