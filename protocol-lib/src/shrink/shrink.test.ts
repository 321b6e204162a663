import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { memorySource, openCapture } from '../capture/index.ts';
import { recordSimulation, simulatedDefinition } from '../simulator/index.ts';
import { ddmin, findingsOf, matching, type ShrinkOptions, shrinkCapture, targetsOf } from './index.ts';
import { captureOf } from './item.ts';

describe('delta debugging', () => {
  test('comes to exactly what is needed, in order, where more does no harm', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uniqueArray(fc.nat(200), { maxLength: 60 }), fc.func(fc.boolean()), async (items, draw) => {
        const needed = items.filter((one) => draw(one));
        const keeps = async (left: readonly number[]) => needed.every((one) => left.includes(one));
        expect(await ddmin(items, keeps)).toEqual(needed);
      }),
    );
  });

  test('leaves nothing that can go by itself, whatever is asked', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uniqueArray(fc.nat(50), { minLength: 1, maxLength: 12 }), fc.nat(), async (items, salt) => {
        const isKept = (left: readonly number[]): boolean =>
          left.length === items.length || (left.reduce((sum, one) => sum * 31 + one, salt) >>> 0) % 3 === 0;
        const left = await ddmin(items, async (some) => isKept(some));
        expect(isKept(left)).toBe(true);
        for (let at = 0; at < left.length; at++) expect(isKept(left.toSpliced(at, 1))).toBe(false);
      }),
    );
  });
});

/** Faults of nodes: without them nothing is found. */
const WITHOUT = ['crash', 'disk', 'corrupt', 'clock', 'server-pause'] as const;

/** Seeds of which the simulator corrupts a copy. */
const CORRUPTED = [1, 5];

async function shrunk(bytes: Uint8Array, options: ShrinkOptions = {}) {
  const capture = await openCapture(memorySource(bytes));
  const { header } = await capture.info();
  return shrinkCapture(capture, { definition: simulatedDefinition(header), ...options });
}

async function found(bytes: Uint8Array) {
  return findingsOf(await openCapture(memorySource(bytes)));
}

describe('a capture with a finding', { timeout: 120_000 }, () => {
  test.each(CORRUPTED)('of seed %i shrinks to a quarter at most, and every step keeps the finding', async (seed) => {
    const { capture } = await recordSimulation({ seed });
    const wanted = targetsOf(await found(capture))[0]!.identity;
    let steps = 0;
    const result = await shrunk(capture, {
      onStep: async (bytes) => {
        steps++;
        expect(matching(await found(bytes), wanted)).toBeDefined();
      },
    });
    expect(result).toMatchObject({ finding: wanted, isMinimal: true, steps });
    expect(steps).toBeGreaterThan(0);
    expect(result!.after.records).toBeLessThanOrEqual(result!.before.records / 4);
    expect(matching(await found(result!.capture), wanted)).toBeDefined();
    expect(matching(await found(result!.session!), wanted)).toBeDefined();
  });

  test('without its inputs shrinks by its records alone', async () => {
    const { capture } = await recordSimulation({ seed: 5, inputs: false });
    const result = await shrunk(capture);
    expect(result?.session).toBeUndefined();
    expect(result!.after.records).toBeLessThanOrEqual(result!.before.records / 4);
    const { findings } = await found(result!.capture);
    expect(findings.map(({ identity }) => identity)).toEqual([result!.finding]);
  });

  test('that only the verification has shrinks to the record that does not come to its own root', async () => {
    const { capture, records } = await recordSimulation({ seed: 11, inputs: false, without: [...WITHOUT] });
    const { header } = await (await openCapture(memorySource(capture))).info();
    const at = records.findIndex(
      ({ body }, position) => position > 400 && body.kind === 'apply' && body.changes.length > 0,
    );
    const untrue = records.map((record, position) => {
      return position === at && record.body.kind === 'apply'
        ? { ...record, body: { ...record.body, changes: [] } }
        : record;
    });
    const result = await shrunk(await captureOf(header, untrue));
    const { replica } = records[at]!;
    expect(result?.finding).toEqual({ by: 'verification', class: 'unknown', replica });
    expect(result?.after).toEqual({ records: 3, messages: 0, commits: 0 });
  });

  test('whose time is over at once stays as it is, and is said to be no smallest', async () => {
    const { capture } = await recordSimulation({ seed: 5, inputs: false });
    const result = await shrunk(capture, { isOver: () => true });
    expect(result).toMatchObject({ isMinimal: false, steps: 0 });
    expect(result!.after).toEqual(result!.before);
  });

  test('has no finding of a number beyond its last', async () => {
    const { capture } = await recordSimulation({ seed: 5 });
    await expect(shrunk(capture, { finding: 9 })).rejects.toMatchObject({ code: 'SHRINK_FINDING' });
  });
});

test('a capture without a finding has nothing to shrink to', async () => {
  const { capture } = await recordSimulation({ seed: 11, without: ['corrupt'] });
  expect(await shrunk(capture)).toBeUndefined();
});
