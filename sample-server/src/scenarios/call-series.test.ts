import { seededRandom } from '@syncscope/protocol/ports';
import { type RecordKey, recordKey, replicaId, type SyncRecord } from '@syncscope/protocol/state';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { CALLS_KEPT, CallSeries } from './call-series.ts';

const names = ['peer-1', 'peer-2', 'peer-3'].map(replicaId);
const stamp = (time: number, at: number) => ({ time, count: 0, replica: names[at]! });

type Entry = readonly [RecordKey, SyncRecord];

/** What three replicas do, each on its own, hearing of each other now and then. */
function history(seed: number, steps: number): { readonly all: Entry[][]; readonly series: CallSeries[] } {
  const random = seededRandom(seed);
  const series = names.map(() => new CallSeries());
  const all: Entry[][] = [];
  for (let step = 1; step <= steps; step++) {
    const at = Math.floor(random.next() * names.length);
    const one = series[at]!;
    const choice = random.next();
    const changes = one.operate((call) => {
      if (choice < 0.3) return call.join(names[at]!);
      if (choice < 0.5) return call.mute(names[at]!, random.next() < 0.5, stamp(step, at));
      if (choice < 0.6) return call.leave(names[at]!);
      if (choice < 0.8) return call.hangUp(stamp(step, at));
      return call.join(names[at]!);
    }, choice >= 0.8);
    all.push(changes.flatMap((change) => (change.op === 'put' ? [[change.key, change.record] as const] : [])));
    if (random.next() < 0.3) series[Math.floor(random.next() * names.length)]!.apply(one.root().entries());
  }
  return { all, series };
}

it('comes to one state in any order, however often anything comes', () => {
  fc.assert(
    fc.property(fc.integer(), fc.integer({ min: 1, max: 60 }), fc.integer(), (seed, steps, order) => {
      const { all, series } = history(seed, steps);
      const [first, second] = [new CallSeries(), new CallSeries()];
      const random = seededRandom(order);
      for (const delta of all) first.apply(delta);
      const shuffled = [...all, ...all].map((delta) => ({ delta, at: random.next() })).sort((a, b) => a.at - b.at);
      for (const { delta } of shuffled) second.apply(delta);
      expect(second.root().hash).toBe(first.root().hash);
      // Whole states join as deltas do.
      const whole = new CallSeries();
      for (const one of series) whole.apply(one.root().entries());
      expect(whole.root().hash).toBe(first.root().hash);
    }),
  );
});

it('keeps the newest calls, and lets none come back that has gone', () => {
  const series = new CallSeries();
  const first = series.operate((call) => call.join(names[0]!));
  for (let call = 0; call < CALLS_KEPT + 2; call++) series.operate((one) => one.join(names[0]!), true);
  expect(series.number).toBe(CALLS_KEPT + 3);
  const calls = new Set([...series.root().entries()].map(([key]) => key.split('/')[0]));
  expect(calls.size).toBe(CALLS_KEPT);
  const before = series.root().hash;
  series.apply(first.flatMap((change) => (change.op === 'put' ? [[change.key, change.record] as const] : [])));
  expect(series.root().hash).toBe(before);
});

it('refuses what is no call, whole', () => {
  const series = new CallSeries();
  series.operate((call) => call.join(names[0]!));
  const before = series.root().hash;
  const good: Entry = [recordKey('call-1/peer-2'), { joined: 1, left: 0, muted: null, held: null }];
  for (const bad of ['call-0/peer-1', 'room/peer-1']) {
    const record = { joined: 1, left: 0, muted: null, held: null };
    expect(() => series.apply([good, [recordKey(bad), record]])).toThrow(
      expect.objectContaining({ code: 'CRDT_CALL_INVALID' }),
    );
  }
  expect(() =>
    series.apply([good, [recordKey('call-1/peer-3'), { joined: 1, left: 2, muted: null, held: null }]]),
  ).toThrow();
  expect(series.root().hash).toBe(before);
});
