import { expect, test } from 'vitest';
import { milliseconds } from '../ports/index.ts';
import { replicaId } from '../state/index.ts';
import { type GroupFacts, GroupHealth } from './session-health.ts';

const others = ['b', 'c', 'd', 'e'].map(replicaId);
const [b, c, d] = others as [(typeof others)[0], (typeof others)[0], (typeof others)[0]];
const well: GroupFacts = {
  isConnected: true,
  version: 0,
  newest: 0,
  agreeing: 0,
  differing: 0,
  pendingSince: undefined,
};
const at = milliseconds;

test('has joined once a majority was heard, and verified once one states the same root', () => {
  const health = new GroupHealth(others, 0);
  health.heard(b, { ...well, agreeing: 1 }, at(10));
  expect(health.assess(well, at(10))).toMatchObject({ progress: 'joining', verified: undefined });
  health.heard(c, { ...well, agreeing: 2 }, at(20));
  expect(health.assess(well, at(20))).toMatchObject({ progress: 'current', verified: { version: 0, time: at(20) } });
});

test('reaches a majority from the start, until too many are silent for five seconds', () => {
  const health = new GroupHealth(others, 0);
  expect(health.hasMajority(at(4_999))).toBe(true);
  expect(health.hasMajority(at(5_000))).toBe(false);
  health.heard(b, well, at(6_000));
  expect(health.hasMajority(at(6_000))).toBe(false);
  health.heard(c, well, at(7_000));
  expect(health.hasMajority(at(7_000))).toBe(true);
  expect(health.hasMajority(at(11_000))).toBe(false);
});

test('is stalled where it stays behind, waits, or differs for too long, and says why', () => {
  const health = new GroupHealth(others, 0);
  for (const one of [b, c, d]) health.heard(one, { ...well, agreeing: 2 }, 0);
  const behind = { ...well, version: 3, newest: 7, pendingSince: at(1_000) };
  health.follow(behind, at(1_000));
  expect(health.assess(behind, at(2_000))).toMatchObject({ progress: 'progressing', lag: 4, oldestPending: at(1_000) });
  expect(health.assess(behind, at(6_000))).toMatchObject({ progress: 'stalled', reasons: ['behind', 'pending'] });
  expect(health.assess({ ...behind, isConnected: false }, at(6_000)).progress).toBe('disconnected');
  const differing = { ...well, version: 7, newest: 7, differing: 2, agreeing: 1 };
  health.heard(b, differing, at(7_000));
  expect(health.assess(differing, at(12_000)).reasons).toEqual(['unverified']);
  // One that differs does not make a majority wrong.
  health.heard(c, { ...differing, differing: 1, agreeing: 2 }, at(12_000));
  expect(health.assess(differing, at(20_000))).toMatchObject({ reasons: [], verified: { version: 7 } });
});
