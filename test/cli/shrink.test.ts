import { execFile } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import {
  CaptureWriter,
  decodeTraceRecord,
  encodeTraceRecord,
  memorySink,
  memorySource,
  openCapture,
} from '@syncscope/protocol/capture';
import { attach } from '@syncscope/protocol/node';
import { recordSimulation } from '@syncscope/protocol/simulator';
import { replicaId } from '@syncscope/protocol/state';
import { isPeers, startSession } from '@syncscope/sample-server';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { root, startNode } from '../support/processes.ts';
import { cli, cliJson, startCli } from './cli.ts';

/** In the repository, so that the written tests find the library as those of a project do; git does not see it. */
const cache = join(root, 'test', '.cache');
mkdirSync(cache, { recursive: true });
const folder = mkdtempSync(join(cache, 'shrink-'));
const path = (name: string): string => join(folder, name);
const sample = join(root, 'extension', 'media', 'sample.mcap');
const clean = path('clean.mcap');

beforeAll(async () => {
  const { capture } = await recordSimulation({ seed: 11, without: ['corrupt'] });
  writeFileSync(clean, capture);
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Runs a written test as a project would; answers the exit code. */
async function runTest(file: string): Promise<number> {
  // A test runner under which this runs says so to its children, which then report to it.
  const { NODE_TEST_CONTEXT: _, ...env } = process.env;
  const run = promisify(execFile)(process.execPath, ['--test', file], { env });
  return run.then(
    () => 0,
    (error: { code: number }) => error.code,
  );
}

/** The same session under a name that nobody here knows the code of. */
async function asAnotherApp(bytes: Uint8Array): Promise<Uint8Array> {
  const capture = await openCapture(memorySource(bytes));
  const { header } = await capture.info();
  const sink = memorySink();
  const writer = new CaptureWriter(sink, { ...header, sessionId: 'shop', title: 'Shop', build: 'shop 1' });
  for await (const { record } of capture.trace()) writer.append(encodeTraceRecord(record));
  await writer.end();
  await capture.close();
  return sink.bytes();
}

/** Records peers that run already, and changes what one of them holds; ends once that was found, and all agree again. */
async function recordDamage(scenario: string, file: string): Promise<void> {
  const running = await startSession({ scenario, seed: 5, sessionsFolder: path('sessions') });
  if (!isPeers(running)) throw new Error(`${scenario} is no session of peers`);
  const held = () => JSON.stringify([...(running.world.peer(replicaId('peer-3'))?.state.entries('') ?? [])]);
  const begun = held();
  await expect.poll(held, { timeout: 20_000 }).not.toBe(begun);
  const { url, token } = running.inspect;
  const recorder = startCli(['record', '--url', url, '--token', token, '--seconds', '60', '-o', file]);
  await recorder.printed(/recording/);
  const watch = await attach({ url, token });
  let seen: 'nothing' | 'mismatch' | 'agreement' = 'nothing';
  watch.onRecords((records) => {
    for (const record of records) {
      const { replica, body } = decodeTraceRecord(record);
      if (replica !== 'peer-3') continue;
      if (body.kind === 'mismatch') seen = 'mismatch';
      else if (seen === 'mismatch' && body.kind === 'hash' && body.agrees) seen = 'agreement';
    }
  });
  await expect.poll(() => running.inspect.observers, { timeout: 20_000 }).toBe(2);
  await running.world.faults.inject({ fault: 'corrupt', target: replicaId('peer-3') });
  await expect.poll(() => seen, { timeout: 20_000 }).toBe('agreement');
  await running.close('what is to be shrunk has happened');
  expect(await recorder.exited).toMatchObject({ code: 0 });
}

interface Told {
  readonly before: { readonly records: number };
  readonly after: { readonly records: number };
  readonly test: string;
  readonly capture: string;
}

/** Shrinks a file and has the written test run with its capture, and with a clean one. */
async function shrinkAndRun(file: string, name: string) {
  const { code, document } = await cliJson(['shrink', file, '-o', path(name)]);
  expect(document).toMatchObject({ schema: 'syncscope/shrink@1', isMinimal: true, checks: 2 });
  expect(code).toBe(0);
  const told = document as unknown as Told;
  expect(told.after.records).toBeLessThanOrEqual(told.before.records / 4);
  expect(await runTest(told.test)).toBe(0);
  copyFileSync(clean, told.capture);
  expect(await runTest(told.test)).not.toBe(0);
  return document;
}

describe('shrink', { timeout: 180_000 }, () => {
  it('makes a test of the sample that fails with a clean capture', async () => {
    const document = await shrinkAndRun(sample, 'sample');
    expect(document.finding).toMatchObject({ class: 'corrupted-at-rest', replica: 'bot-2', key: 'item/old_map' });
    expect(document.session).toBeNull();
  });

  it.each([
    ['applier skips a change', 'missed-change'],
    ['codec cuts to 16 bits', 'codec-fault'],
    ['client applies to an old state', 'wrong-base'],
    ['delta lost, base unchecked', 'lost'],
  ])('makes a test of a session with the planted bug: %s', async (fault, expected) => {
    const file = path(`${expected}.mcap`);
    const { code, stderr } = await startNode('test/corpus/write-fault.ts', [fault, '1', file]).exited;
    expect({ code, said: code === 0 ? '' : stderr }).toEqual({ code: 0, said: '' });
    const document = await shrinkAndRun(file, expected);
    expect(document.finding).toMatchObject({ class: expected });
  });

  it('writes the session with fewer inputs beside, which runs again', async () => {
    const file = path('simulated.mcap');
    writeFileSync(file, (await recordSimulation({ seed: 5 })).capture);
    const { session } = await shrinkAndRun(file, 'simulated');
    const { code, document } = await cliJson(['replay', String(session)]);
    expect(code).toBe(0);
    expect(document).toMatchObject({ status: 'equal' });
  });

  it('makes a test of a session of peers, and writes the session, which runs again', async () => {
    const file = path('peers.mcap');
    writeFileSync(file, (await recordSimulation({ seed: 4, scenario: 'partition', length: 3_000 })).capture);
    const document = await shrinkAndRun(file, 'peers');
    expect(document.finding).toMatchObject({ class: 'corrupted-at-rest', replica: 'erin' });
    expect(await cliJson(['replay', String(document.session)])).toMatchObject({
      code: 0,
      document: { status: 'equal', level: 'app' },
    });
  });

  // Most of their time they wait for what people do.
  it.concurrent.each(['craps', 'call'])(
    'makes a test of a fault of peers that somebody attached to while they ran, and a session of it: %s',
    async (scenario) => {
      const file = path(`${scenario}.mcap`);
      await recordDamage(scenario, file);
      const { code, document } = await cliJson(['shrink', file, '-o', path(scenario), '--timeout', '6']);
      expect(document).toMatchObject({ schema: 'syncscope/shrink@1', checks: 2 });
      expect(document.finding).toMatchObject({ class: 'corrupted-at-rest', replica: 'peer-3' });
      expect(code).toBe(0);
      const { before, after, test } = document as unknown as Told;
      expect(after.records).toBeLessThan(before.records);
      expect(await runTest(test)).toBe(0);
      // The peers go on from where they said that they stood; one that had not yet is left out.
      const again = await cliJson(['replay', String(document.session)]);
      expect(again.document).toMatchObject({ level: 'app' });
      expect(again.document.status).not.toBe('differs');
    },
  );

  it('runs a session of another app again with the definition that is given and trusted', async () => {
    const file = path('shop.mcap');
    writeFileSync(file, await asAnotherApp((await recordSimulation({ seed: 5 })).capture));
    const module = path('shop.mjs');
    writeFileSync(
      module,
      `import { simulatedDefinition } from '@syncscope/protocol/simulator';
export const definition = simulatedDefinition({ sessionId: 'simulation-5', build: 'simulator' });`,
    );
    const untrusted = await cliJson(['shrink', file, '-o', path('untrusted'), '--definition', module]);
    expect(untrusted).toMatchObject({ code: 2, document: { error: { code: 'TRUST_REQUIRED' } } });
    expect(existsSync(path('untrusted'))).toBe(false);
    const { code, document } = await cliJson([
      ...['shrink', file, '-o', path('shop'), '--definition', module, '--trust'],
    ]);
    expect(code).toBe(0);
    expect(document).toMatchObject({ schema: 'syncscope/shrink@1', checks: 2 });
    const again = await cliJson(['replay', String(document.session), '--definition', module, '--trust']);
    expect(again).toMatchObject({ code: 0, document: { status: 'equal', level: 'app' } });
    expect(await runTest(String(document.test))).toBe(0);
  });

  it('stops when its time is over, with a test of what is smallest then', async () => {
    const { code, document } = await cliJson(['shrink', sample, '-o', path('late'), '--timeout', '0.000001']);
    expect(code).toBe(0);
    expect(document).toMatchObject({ isMinimal: false, steps: 0, checks: 2 });
    expect(document.after).toEqual(document.before);
    expect(await runTest(String(document.test))).toBe(0);
  });

  it('has nothing to do where nothing is found', async () => {
    const { code, document } = await cliJson(['shrink', clean, '-o', path('none')]);
    expect(code).toBe(1);
    expect(document).toMatchObject({ schema: 'syncscope/shrink@1', finding: null });
    expect(existsSync(path('none'))).toBe(false);
  });

  it('says what cannot be read, and what is there already', async () => {
    expect((await cli(['shrink', path('missing.mcap'), '-o', path('missing')])).code).toBe(2);
    mkdirSync(path('full'));
    writeFileSync(path('full/finding.test.mjs'), 'mine');
    const { code, document } = await cliJson(['shrink', sample, '-o', path('full')]);
    expect(code).toBe(2);
    expect(document).toMatchObject({ error: { code: 'OUTPUT_EXISTS' } });
    expect(existsSync(path('full/finding.mcap'))).toBe(false);
  });
});

it('says in which project the written test runs, where it would not find the library', async () => {
  const outside = mkdtempSync(join(tmpdir(), 'syncscope-shrunk-'));
  const texts = await Promise.all(
    [join(outside, 'found'), path('inside')].map(async (to) => {
      const { code, stdout } = await cli(['shrink', sample, '-o', to, '--timeout', '0.000001']);
      expect(code).toBe(0);
      return stdout;
    }),
  );
  expect(texts.map((text) => text.includes('in a project with @syncscope/protocol'))).toEqual([true, false]);
  rmSync(outside, { recursive: true, force: true });
});
