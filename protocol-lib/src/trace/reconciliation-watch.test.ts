import fc from 'fast-check';
import { expect, it } from 'vitest';
import { replicaId } from '../state/index.ts';
import { ReconciliationWatch, type TraceBody, TraceHub } from './index.ts';

const SECOND = 1_000_000_000;

function watched(minimum = 50) {
  const traced: TraceBody[] = [];
  const tap = new TraceHub({ now: () => 0 });
  tap.listen(({ body }) => traced.push(body));
  const told: boolean[] = [];
  const watch = new ReconciliationWatch({
    replica: replicaId('server'),
    tap,
    settings: { window: 300 * SECOND, minimum },
    onAlert: (isAlert) => told.push(isAlert),
  });
  const end = (hasSucceeded: boolean, second: number) => watch.ended({ hasSucceeded, now: second * SECOND });
  return { watch, traced, told, end };
}

it('begins an alert above 2 %, and ends it at 1 %, each told and traced once', () => {
  const { watch, traced, told, end } = watched();
  for (let one = 0; one < 98; one++) end(true, one);
  end(false, 98);
  end(false, 99);
  expect([watch.rate, watch.isAlert]).toEqual([0.02, false]);
  end(false, 100);
  end(false, 101);
  expect([watch.isAlert, told]).toEqual([true, [true]]);
  // 4 of 399 are 1.0025 %, 4 of 400 are 1 %.
  for (let one = 102; one < 200; one++) end(true, one);
  for (let one = 0; one < 199; one++) end(true, 200);
  expect(watch.isAlert).toBe(true);
  end(true, 201);
  expect([watch.isAlert, told]).toEqual([false, [true, false]]);
  expect(traced).toEqual([
    { kind: 'log', level: 'error', text: 'RECONCILIATION_FAILURES: 3 of 101 reconciliations failed' },
    { kind: 'log', level: 'info', text: 'reconciliations succeed again: 4 of 400 reconciliations failed' },
  ]);
});

it('says nothing of few, and ends when nothing happens any more', () => {
  const { watch, told, end } = watched();
  for (let one = 0; one < 49; one++) end(false, one);
  expect([watch.rate, watch.isAlert]).toEqual([1, false]);
  end(false, 49);
  expect(watch.isAlert).toBe(true);
  watch.tick(360 * SECOND);
  expect([watch.count, watch.rate, told]).toEqual([0, 0, [true, false]]);
});

it('counts what the window holds, to a part of it', () => {
  const step = fc.record({ after: fc.nat(40), hasSucceeded: fc.boolean() });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const { watch } = watched(1);
      const all: { readonly at: number; readonly hasSucceeded: boolean }[] = [];
      let at = 0;
      for (const { after, hasSucceeded } of steps) {
        at += after;
        all.push({ at, hasSucceeded });
        watch.ended({ hasSucceeded, now: at * SECOND });
        const inside = all.filter((one) => one.at > at - 290).length;
        const atMost = all.filter((one) => one.at > at - 300).length;
        expect(watch.count).toBeGreaterThanOrEqual(inside);
        expect(watch.count).toBeLessThanOrEqual(atMost);
        expect(watch.rate).toBeGreaterThanOrEqual(0);
        expect(watch.rate).toBeLessThanOrEqual(1);
      }
    }),
  );
});
