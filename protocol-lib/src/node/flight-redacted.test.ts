import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { isRedacted } from '../capture/exchange/index.ts';
import { isIn, unpacked } from '../capture/exchange/unpacked.test-helper.ts';
import { verifyCapture } from '../diagnose/index.ts';
import type { SyncRecord } from '../state/index.ts';
import { TraceHub } from '../trace/index.ts';
import { monotonicClock } from './clock.ts';
import { FlightRecorder, type FlightRecorderSettings } from './flight-recorder.ts';
import { alice, bot, inputsWith, opened, root, snapshotOf, utf8 } from './recorded.test-helper.ts';
import { header, server, temporaryFolder } from './testing.ts';

const cleanups: Array<() => Promise<unknown>> = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup();
});

const WORD = 'HUSHhush1234567890';

async function flying(settings: Partial<FlightRecorderSettings> = {}, marks: readonly string[] = []) {
  const folder = join(await temporaryFolder(cleanups), 'flights');
  const hub = new TraceHub(monotonicClock);
  const describing = (): void => void hub.emit(server, { kind: 'replica', role: 'server' });
  const recorder = new FlightRecorder({
    ...settings,
    folder,
    hub,
    header: { ...header(), secrets: [...marks] },
    describe: describing,
  });
  cleanups.unshift(() => recorder.close());
  const log = (text: string): number => hub.emit(server, { kind: 'log', level: 'info', text });
  const saved = async () => {
    const bytes = new Uint8Array(await readFile(await recorder.saveNow()));
    return { bytes, ...(await opened(bytes)) };
  };
  return { hub, folder, recorder, log, saved };
}

describe('what a flight recorder saves', () => {
  test('has no secret, also where it was told before it was known as one, and states that fit their hashes', async () => {
    const { hub, log, saved } = await flying();
    log(`before: ${WORD}`);
    hub.emit(server, { kind: 'receive', from: bot, type: 'COMMAND', sender: bot, sequence: 1 }, [], utf8.encode(WORD));
    for (const body of inputsWith(WORD)) hub.emit(server, body);
    hub.emit(server, snapshotOf({ note: WORD }));
    const record: SyncRecord = { note: 'x', password: WORD };
    const event = { type: 'SET', player: 'alice', detail: WORD };
    hub.emit(server, {
      kind: 'commit',
      version: 2,
      event,
      changes: [{ op: 'put', key: alice, record }],
      root: root(record),
    });
    const { bytes, capture, records } = await saved();
    expect(isIn(unpacked(bytes), WORD)).toBe(false);
    expect(records.filter(({ body }) => body.kind === 'log').length).toBeGreaterThan(1);
    const info = await capture.info();
    expect(info).toMatchObject({ header: { redaction: 'names' } });
    expect(info.cut).toBeUndefined();
    expect(await verifyCapture(capture)).toMatchObject({ status: 'agrees' });
  });

  test('has the very records, frames and inputs included, where nothing is secret', async () => {
    const { hub, saved } = await flying();
    const told: unknown[] = [];
    hub.listen(({ seq, body, wire }) => told.push({ seq, body, wire }));
    hub.emit(server, snapshotOf({ name: 'Alice', tokens: 5 }), [], utf8.encode('a frame'));
    for (const body of inputsWith('word')) hub.emit(server, body);
    const { records } = await saved();
    expect(records.slice(1, 1 + told.length).map(({ seq, body, wire }) => ({ seq, body, wire }))).toEqual(
      told.slice(0, records.length - 1),
    );
  });

  test('goes by rules and by what the app marked, and has equal pseudonyms in each of its files', async () => {
    const { hub, log, saved } = await flying({ redaction: { paths: ['player/*.email'], patterns: ['[A-Z]{2}\\d+'] } }, [
      'player/*.nick',
    ]);
    hub.emit(server, snapshotOf({ nick: WORD, email: 'a@example.org' }));
    log('on AB123');
    const [one, two] = [await saved(), await saved()];
    const text = JSON.stringify(one.records.map(({ body }) => body));
    for (const secret of [WORD, 'a@example.org', 'AB123']) expect(text).not.toContain(secret);
    const shown = (records: typeof one.records) =>
      records.flatMap(({ body }) => (body.kind === 'snapshot' ? body.records.map(({ record }) => record) : []));
    expect(shown(one.records)[0]).toEqual(shown(two.records)[0]);
    expect((await one.capture.info()).header).toMatchObject({ redaction: 'rules', secrets: ['player/*.nick'] });
  });

  test('is as it was where that is asked for, and is not taken for redacted then', async () => {
    const { hub, saved } = await flying({ redaction: false });
    hub.emit(server, snapshotOf({ password: WORD }));
    const { bytes, capture } = await saved();
    expect(isIn(unpacked(bytes), WORD)).toBe(true);
    expect(isRedacted((await capture.info()).header)).toBe(false);
  });

  test('is refused a rule that is none before anything is taken, and leaves no file then', async () => {
    const { folder } = await flying();
    const hub = new TraceHub(monotonicClock);
    const redaction = { patterns: ['('] };
    expect(() => new FlightRecorder({ folder, hub, header: header(), describe() {}, redaction })).toThrow(
      expect.objectContaining({ code: 'REDACT_RULE' }),
    );
    expect(hub.isOpen).toBe(false);
    await expect(readdir(folder)).rejects.toThrow();
  });
});
