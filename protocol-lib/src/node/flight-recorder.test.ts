import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type OpenCapture, openCapture } from '../capture/index.ts';
import { milliseconds } from '../ports/index.ts';
import { headerOf } from '../replay/captured.test-helper.ts';
import { AUTHORITY, boxes, House } from '../replay/house.test-helper.ts';
import { readSteps, reexecute } from '../replay/index.ts';
import { replicaId } from '../state/index.ts';
import { zstdDecompression } from './compression.ts';
import { fileSource } from './files.ts';
import { FlightRecorder } from './flight-recorder.ts';

const HEADER = headerOf('boxes', { authority: AUTHORITY });
const ANN = replicaId('ann');
const BEN = replicaId('ben');

let folder = '';
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'syncscope-flight-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

/** A house that is flown for so many steps of 20 ms; what is saved then. */
async function flown(
  steps: number,
  settings: { readonly seconds: number; readonly maxBytes?: number },
  isEnding = false,
  cost = 0,
) {
  let busy = 0;
  const house = new House(boxes());
  const people = [house.join('ann'), house.join('ben')];
  let described = 0;
  const recorder = new FlightRecorder({
    ...settings,
    folder,
    hub: house.hub,
    header: HEADER,
    // What it is asked takes so long; all else takes no time.
    clock: { now: () => busy },
    flush: () => house.journal.flush(),
    describe: () => {
      described++;
      busy += cost;
      house.manager.describe();
      for (const { state } of house.clients) state.describe();
      house.journal.flush();
    },
  });
  for (let at = 0; at < steps; at++) {
    if (at % 3 === 0) people[(at / 3) % 2]?.send(at % 4 === 0 ? 'take' : 'put', null);
    house.step();
    await turn();
  }
  const told = described;
  if (isEnding) house.hub.emit(ANN, { kind: 'hash', version: 1, own: house.manager.root.hash, agrees: false });
  const path = isEnding ? '' : await recorder.saveNow();
  await recorder.close();
  return { path: path || join(folder, (await readdir(folder))[0]!), told };
}

async function withCapture<T>(path: string, use: (capture: OpenCapture) => Promise<T>): Promise<T> {
  const source = await fileSource(path);
  try {
    return await use(await openCapture(source, { decompressZstd: zstdDecompression }));
  } finally {
    await source.close();
  }
}

describe('what a flight recorder keeps', () => {
  test('is run again from its first record, long after the beginning is gone', async () => {
    const { path, told } = await flown(500, { seconds: 2 });
    expect(told).toBeGreaterThan(5);
    await withCapture(path, async (capture) => {
      const info = await capture.info();
      expect(info.lost).toBeGreaterThan(1_000);
      expect(info.range.to - info.range.from).toBeGreaterThan(2e9);
      expect(info.range.to - info.range.from).toBeLessThan(4e9);
      const result = await reexecute(capture, { definition: boxes() });
      expect(result).toMatchObject({ status: 'equal', leftOut: [], replicas: [ANN, BEN, AUTHORITY] });
      expect(result.hashes).toBeGreaterThan(50);
      const { steps } = await readSteps(capture);
      // Before the first input stands only what is there for the dropped records, and what all say first.
      expect(steps.findIndex(({ input }) => input !== undefined)).toBeLessThan(30);
    });
  });

  test('is run again from the next place where all stand, where there is no room for more', async () => {
    const { path } = await flown(500, { seconds: 20, maxBytes: 120_000 });
    await withCapture(path, async (capture) => {
      expect((await capture.info()).lost).toBeGreaterThan(100);
      const result = await reexecute(capture, { definition: boxes() });
      expect(result.status).toBe('equal');
      expect(result.replicas).toEqual([ANN, BEN, AUTHORITY]);
      for (const { why } of result.leftOut) expect(why).toBe('before');
    });
  });

  test('is run again to its last record where it is saved as the session ends', async () => {
    const { path } = await flown(107, { seconds: 2 }, true);
    await withCapture(path, async (capture) => {
      const result = await reexecute(capture, { definition: boxes() });
      expect(result.difference).toBeUndefined();
      // But for what made it save, which comes of nothing here.
      expect(result.leftOut.filter(({ why }) => why === 'behind')).toMatchObject([{ replica: ANN, records: 1 }]);
    });
  });

  test('is asked less often where that takes much of the time', async () => {
    // 10 s go by, of which each asking may take a hundredth until it is done again.
    expect((await flown(500, { seconds: 1 })).told).toBeGreaterThan(20);
    const { told } = await flown(500, { seconds: 1 }, false, milliseconds(20));
    expect(told).toBeGreaterThan(3);
    expect(told).toBeLessThan(8);
    expect((await flown(500, { seconds: 1 }, false, milliseconds(200))).told).toBe(1);
  });

  test('is not asked again and again where that would take the memory', async () => {
    const { told } = await flown(200, { seconds: 1, maxBytes: 4_000 });
    expect(told).toBe(1);
  });
});
