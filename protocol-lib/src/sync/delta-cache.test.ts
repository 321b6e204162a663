import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { seededRandom } from '../ports/index.ts';
import { replicaId, type StateHash } from '../state/index.ts';
import { closedTap } from '../trace/index.ts';
import { AuthorityState } from './authority-state.ts';
import { DeltaCache } from './delta-cache.ts';
import { coinSession } from './memory-link.test-helper.ts';
import type { SessionDefinition } from './session.ts';
import { SYNC_DEFAULTS } from './settings.ts';
import type { SyncPoint } from './settlement.ts';

const server = replicaId('server');
const writers = ['amy', 'bob', 'eve'].map(replicaId);

/** Each sees the doors, the notes, and of the coins its own and those that nobody has. */
const viewed: SessionDefinition = {
  ...coinSession,
  view: (_state, replica) => ({
    id: replica,
    sees: (key, { owner }) => !key.startsWith('coin/') || owner === null || owner === replica,
  }),
};

function authority(definition: SessionDefinition): AuthorityState {
  return new AuthorityState(definition, server, seededRandom(1), closedTap, SYNC_DEFAULTS);
}

describe('deltas that lead to the present state', () => {
  const root = '0123456789abcdef' as StateHash;
  const delta = (from: number) => {
    const settled = { since: 0, progress: 0, changes: [], vector: [], rejected: [] };
    return { type: 'DELTA_SYNC' as const, from, to: 9, ...settled, root };
  };

  test('are made once for each audience, and anew when the state has moved on, whatever moved', () => {
    const cache = new DeltaCache(10);
    const made: string[] = [];
    const ask = (audience: string, to: SyncPoint) =>
      cache.get(audience, to, () => {
        made.push(`${audience} to ${to.version}/${to.progress}`);
        return delta(made.length);
      });
    const first = ask('all', { version: 9, progress: 9 });
    expect(ask('all', { version: 9, progress: 9 })).toBe(first);
    expect(ask('bob', { version: 9, progress: 9 })).not.toBe(first);
    expect(ask('all', { version: 9, progress: 10 })).not.toBe(first);
    expect(ask('all', { version: 10, progress: 10 })).not.toBe(first);
    expect(made).toEqual(['all to 9/9', 'bob to 9/9', 'all to 9/10', 'all to 10/10']);
  });

  test('are as many as there is room for', () => {
    const cache = new DeltaCache(3);
    for (let from = 0; from < 50; from++) {
      cache.get(`${from}`, { version: 9, progress: 9 }, () => delta(from));
      expect(cache.size).toBe(Math.min(from + 1, 3));
    }
    cache.get('0', { version: 10, progress: 9 }, () => delta(0));
    expect(cache.size).toBe(1);
  });
});

test.each([
  { what: 'where all see everything', definition: coinSession },
  { what: 'where each sees its own', definition: viewed },
])('what is answered again is what would be made anew, $what', ({ definition }) => {
  const command = fc.constantFrom('take', 'drop', 'note', 'erase', 'unlock', 'wave');
  const step = fc.record({ writer: fc.constantFrom(...writers), command, which: fc.nat(3), isAsked: fc.boolean() });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 20 }), (steps) => {
      const asked = authority(definition);
      const points: SyncPoint[] = [];
      for (const [index, { writer, command: name, which, isAsked }] of steps.entries()) {
        asked.keep();
        points.push(asked.point);
        asked.commit(name, { coin: which, id: which, text: `${index}` }, writer, asked.decided(writer) + 1, []);
        if (isAsked) for (const point of points) for (const one of writers) asked.deltaFrom(point, one);
      }
      for (const [at, point] of points.entries()) {
        const fresh = authority(definition);
        for (const [index, { writer, command: name, which }] of steps.entries()) {
          if (index === at) fresh.keep();
          fresh.commit(name, { coin: which, id: which, text: `${index}` }, writer, fresh.decided(writer) + 1, []);
        }
        for (const one of [...writers, server])
          expect(asked.deltaFrom(point, one)).toEqual(fresh.deltaFrom(point, one));
      }
    }),
  );
});

test('of many who come back together at one point, each is given the very same', () => {
  const state = authority(viewed);
  state.keep();
  const { point } = state;
  state.commit('note', { id: 1, text: 'news' }, server, 1, []);
  const [amy, bob] = writers;
  expect(state.deltaFrom(point, amy)).toBe(state.deltaFrom(point, amy));
  expect(state.deltaFrom(point, bob)).not.toBe(state.deltaFrom(point, amy));
  const before = state.deltaFrom(point, amy);
  state.commit('wave', {}, server, 2, []);
  expect(state.deltaFrom(point, amy)).toMatchObject({ progress: before!.progress + 1 });
});
