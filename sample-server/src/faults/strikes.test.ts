import { replicaId } from '@syncscope/protocol/state';
import type { TraceBodyOf, TraceKind, TraceRecord } from '@syncscope/protocol/trace';
import { afterEach, describe, expect, test } from 'vitest';
import { adventureAsPlayed } from '../scenarios/adventure.ts';
import { type Cleanups, running, Watcher } from '../testing.ts';
import { UnsteadyReducer } from './unsteady.ts';

const cleanups: Cleanups = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup();
});

const bot1 = replicaId('bot-1');
const bot2 = replicaId('bot-2');

function is<K extends TraceKind>(kind: K, replica?: string) {
  return (record: TraceRecord): record is TraceRecord & { readonly body: TraceBodyOf<K> } =>
    record.body.kind === kind && (replica === undefined || record.replica === replica);
}

const byBot2 = (record: TraceRecord): record is TraceRecord & { readonly body: TraceBodyOf<'commit'> } =>
  is('commit')(record) && record.body.mutation?.writer === bot2;

describe('what strikes a session with an authority', () => {
  test('a bot that crashes comes back under its name, knowing nothing, and goes on counting', async () => {
    const watcher = await Watcher.of(await running(cleanups));
    const before = await watcher.find(byBot2);
    await watcher.connection.inject({ fault: 'crash', target: bot2, downtime: 200 });
    const from = watcher.records.length;
    await watcher.find(is('gone', bot2), 0);
    const back = await watcher.find(
      (record) => is('snapshot', bot2)(record) && record.body.reason === 'full-sync',
      from,
    );
    const after = await watcher.find(byBot2, watcher.records.indexOf(back));
    const counter = (record: TraceRecord): number => (byBot2(record) ? (record.body.mutation?.counter ?? 0) : 0);
    expect(counter(after)).toBeGreaterThan(counter(before));
    const ids = watcher.records.flatMap((record) => (byBot2(record) ? [counter(record)] : []));
    expect(new Set(ids).size).toBe(ids.length);
    expect(watcher.records.filter((record) => is('send', bot2)(record) && record.body.type === 'BYE')).toEqual([]);
  });

  test('a clock that is wrong by an hour, either way, keeps nobody from playing', async () => {
    const watcher = await Watcher.of(await running(cleanups));
    await watcher.find(byBot2);
    for (const by of [3_600_000, -3_600_000, 0]) {
      await watcher.connection.inject({ fault: 'clock-skew', target: bot2, by });
      await watcher.find(byBot2, watcher.records.length);
    }
  });

  test("an authority's reducer that is not steady is found by running it twice, and named", async () => {
    const server = await running(cleanups);
    const watcher = await Watcher.of(server);
    await watcher.find(is('commit'));
    await watcher.connection.inject({ fault: 'reducer', target: server.manager.replica, events: 1 });
    const from = watcher.records.length;
    const named = await watcher.find((record) => is('log', 'server')(record) && record.body.level === 'error', from);
    expect(is('log')(named) && named.body.text).toMatch(
      /^the reducer is not deterministic: [A-Z_]+ at version \d+, run twice/,
    );
    await watcher.find(is('commit'), watcher.records.length);
    expect(watcher.records.filter((record) => is('divergence')(record))).toEqual([]);
  });

  test("a bot's reducer that is not steady predicts wrongly, and the authority's word corrects it", async () => {
    const watcher = await Watcher.of(await running(cleanups));
    await watcher.find(byBot2);
    await watcher.connection.inject({ fault: 'reducer', target: bot2, events: 3 });
    const from = watcher.records.length;
    const predicted = await watcher.find((record) => is('prediction', bot2)(record), from);
    const settled = (record: TraceRecord): boolean =>
      (is('confirmation', bot2)(record) || is('rollback', bot2)(record)) &&
      is('prediction')(predicted) &&
      record.body.mutation.counter === predicted.body.mutation.counter;
    await watcher.find(settled, from);
    await watcher.find((record) => is('hash', bot2)(record) && record.body.agrees === true, watcher.records.length);
    expect(watcher.records.filter((record) => is('divergence')(record))).toEqual([]);
  });

  test('cannot strike who is not in this process', async () => {
    const watcher = await Watcher.of(await running(cleanups, { bots: 1 }));
    await watcher.find(is('hash', bot1));
    await expect(watcher.connection.inject({ fault: 'crash', target: bot2, downtime: 1 })).rejects.toMatchObject({
      code: 'FAULT_TARGET_UNKNOWN',
    });
  });
});

test('an unsteady reducer answers something else each run, for so many events, and then as it should', () => {
  const { definition, reducer } = UnsteadyReducer.in(adventureAsPlayed);
  const event = { type: 'PLAYER_JOINED', player: 'anna', detail: 'came in' };
  const state = { get: () => undefined, has: () => false, size: 0, *entries() {} };
  const run = () => JSON.stringify(definition.reduce(state as never, event));
  const right = run();
  reducer.disturb(1);
  const wrong = [run(), run()];
  expect(new Set([right, ...wrong]).size).toBe(3);
  expect(run()).toBe(right);
});
