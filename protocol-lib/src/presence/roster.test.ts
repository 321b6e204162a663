import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { VersionVector } from '../clock/index.ts';
import { milliseconds } from '../ports/index.ts';
import { replicaId } from '../state/index.ts';
import { type Beat, compressed, PRESENCE_DEFAULTS, PresenceRoster } from './index.ts';

const alice = replicaId('alice');
const SECOND = milliseconds(1_000);
const beat = (fields: Partial<Beat> = {}): Beat => ({
  incarnation: 1,
  user: 'Alice',
  device: 'phone',
  activity: 'active',
  hasMedia: false,
  metadata: {},
  vector: VersionVector.empty,
  ...fields,
});

describe('timeouts of the documents', () => {
  test('30 s of silence are a disconnection, and not a moment earlier', () => {
    const roster = new PresenceRoster();
    expect(roster.heard(alice, beat(), 0).map(({ change }) => change)).toEqual(['joined']);
    expect(roster.tick(30 * SECOND - 1)).toEqual([]);
    const [gone] = roster.tick(30 * SECOND);
    expect(gone).toMatchObject({ change: 'disconnected', reason: 'nothing was heard for 30 s' });
    expect(roster.get(alice)?.state).toBe('disconnected');
  });

  test('10 s without media are a connection problem while the sender says that it sends some', () => {
    const roster = new PresenceRoster();
    roster.heard(alice, beat({ hasMedia: true }), 0);
    roster.media(alice, 5 * SECOND);
    roster.heard(alice, beat({ hasMedia: true }), 14 * SECOND);
    expect(roster.tick(15 * SECOND - 1)).toEqual([]);
    expect(roster.tick(15 * SECOND).map(({ change }) => change)).toEqual(['problem']);
    expect(roster.media(alice, 16 * SECOND)).toMatchObject([{ change: 'active', reason: 'media again' }]);
  });

  test('who is muted misses no media', () => {
    const roster = new PresenceRoster();
    roster.heard(alice, beat({ hasMedia: true }), 0);
    roster.heard(alice, beat({ hasMedia: false }), 5 * SECOND);
    expect(roster.tick(29 * SECOND)).toEqual([]);
    expect(roster.media(alice, 29 * SECOND)).toEqual([]);
  });

  test('heard again, it is back; silent for long after that, it has left', () => {
    const roster = new PresenceRoster();
    roster.heard(alice, beat(), 0);
    roster.tick(30 * SECOND);
    expect(roster.heard(alice, beat({ activity: 'idle' }), 31 * SECOND).map(({ change }) => change)).toEqual(['idle']);
    const changes = [61, 100, 181].flatMap((second) => roster.tick(second * SECOND).map(({ change }) => change));
    expect(changes).toEqual(['disconnected', 'left']);
    expect(roster.present()).toEqual([]);
  });

  test('all of them are settable, and shorter together for a demonstration', () => {
    const roster = new PresenceRoster({ timeouts: compressed(10) });
    roster.heard(alice, beat(), 0);
    expect(roster.tick(3 * SECOND).map(({ change }) => change)).toEqual(['disconnected']);
    expect(compressed(10).mediaTimeout * 10).toBe(PRESENCE_DEFAULTS.mediaTimeout);
  });
});

describe('no zombies', () => {
  test('what a life says after it has left brings nobody back; the next life does', () => {
    const roster = new PresenceRoster();
    roster.heard(alice, beat(), 0);
    expect(roster.heard(alice, beat({ activity: 'left' }), SECOND).map(({ change }) => change)).toEqual(['left']);
    expect(roster.heard(alice, beat(), 2 * SECOND)).toEqual([]);
    expect(roster.media(alice, 2 * SECOND)).toEqual([]);
    expect(roster.get(alice)?.state).toBe('left');
    expect(roster.heard(alice, beat({ incarnation: 2 }), 3 * SECOND).map(({ change }) => change)).toEqual(['joined']);
    expect(roster.heard(alice, beat({ activity: 'left' }), 4 * SECOND)).toEqual([]);
    expect(roster.get(alice)?.state).toBe('active');
  });

  test('whatever came in before, silence ends in left', () => {
    const step = fc.record({
      after: fc.nat(40),
      what: fc.constantFrom('active', 'idle', 'left', 'media', 'tick'),
      incarnation: fc.integer({ min: 1, max: 3 }),
      hasMedia: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
        const roster = new PresenceRoster();
        let now = 0;
        let highest = 0;
        for (const { after, what, incarnation, hasMedia } of steps) {
          now += after * SECOND;
          if (what === 'tick') roster.tick(now);
          else if (what === 'media') roster.media(alice, now);
          else roster.heard(alice, beat({ incarnation, activity: what, hasMedia }), now);
          const incarnationNow = roster.get(alice)?.incarnation ?? 0;
          expect(incarnationNow).toBeGreaterThanOrEqual(highest);
          highest = incarnationNow;
        }
        roster.tick(now + 30 * SECOND);
        roster.tick(now + 150 * SECOND);
        expect(roster.present()).toEqual([]);
      }),
    );
  });
});

describe('sessions and devices', () => {
  test('one user on two devices, with metadata and what each has seen', () => {
    const roster = new PresenceRoster();
    const seen = VersionVector.from([{ replica: alice, counter: 4 }]);
    roster.heard(replicaId('alice-phone'), beat({ metadata: { version: '1.2' }, vector: seen }), 0);
    roster.heard(replicaId('alice-desk'), beat({ device: 'desk' }), 0);
    roster.heard(replicaId('bob'), beat({ user: 'Bob' }), 0);
    const sessions = roster.ofUser('Alice');
    expect(sessions.map(({ device }) => device)).toEqual(['desk', 'phone']);
    expect(sessions[1]).toMatchObject({ metadata: { version: '1.2' } });
    expect(sessions[1]!.vector.compare(seen)).toBe('equal');
  });

  test('a full house refuses a newcomer by name; who left makes room', () => {
    const roster = new PresenceRoster({ maxMembers: 2 });
    roster.heard(alice, beat(), 0);
    roster.heard(replicaId('bob'), beat(), 0);
    expect(() => roster.heard(replicaId('carol'), beat(), 1)).toThrow(
      expect.objectContaining({ code: 'PRESENCE_FULL', message: expect.stringContaining('carol') }),
    );
    expect(roster.present()).toHaveLength(2);
    roster.heard(alice, beat({ activity: 'left' }), 2);
    roster.heard(replicaId('carol'), beat(), 3);
    expect(roster.present().map(({ replica }) => replica)).toEqual(['bob', 'carol']);
  });
});
