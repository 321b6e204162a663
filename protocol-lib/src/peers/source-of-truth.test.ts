import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { mutate, openPair, owner, SOURCES } from './session-group.test-helper.ts';

describe.each(SOURCES)('a session whose truth is with the %s', (source) => {
  test('shows what was done at once, and settles it for everybody', () => {
    const { alice, bob, run } = openPair(source);
    expect(alice.truth).toBe(source === 'authority' ? 'authority' : 'peers');
    let told = 0;
    const end = bob.subscribe(() => told++);
    const mutation = mutate(alice, 'take', { coin: '3' });
    expect(owner(alice, '3', 'optimistic')).toBe('alice');
    expect(owner(alice, '3')).toBe(null);
    expect(alice.outcome(mutation)).toEqual({ state: 'pending' });
    run(3_000);
    expect(owner(alice, '3')).toBe('alice');
    expect(owner(bob, '3')).toBe('alice');
    expect(alice.outcome(mutation)).toEqual({ state: 'settled' });
    expect(alice.committed.hash).toBe(bob.committed.hash);
    expect(told).toBeGreaterThan(0);
    end();
  });

  test('refuses at once what the state does not allow', () => {
    const { alice, bob, run } = openPair(source);
    mutate(alice, 'take', { coin: '1' });
    run(3_000);
    expect(bob.mutate('take', { coin: '1' })).toEqual({ rejected: 'coin/1 is taken' });
    expect(bob.mutate('fly', {})).toEqual({ rejected: expect.stringContaining('fly') });
  });

  test('gives one coin to one of two, and tells the other why not', () => {
    const { alice, bob, run } = openPair(source);
    const takes = [alice, bob].map((one) => [one, mutate(one, 'take', { coin: '5' })] as const);
    run(4_000);
    const outcomes = takes.map(([session, mutation]) => session.outcome(mutation)!);
    expect(outcomes.map(({ state }) => state).sort()).toEqual(['rejected', 'settled']);
    expect(outcomes).toContainEqual({ state: 'rejected', reason: 'coin/5 is taken' });
    expect(alice.committed.hash).toBe(bob.committed.hash);
    expect(alice.optimistic.hash).toBe(alice.committed.hash);
  });

  test('goes on where one is cut off, and comes together after', () => {
    const { alice, bob, run, cut } = openPair(source);
    cut(true);
    mutate(alice, 'take', { coin: '7' });
    mutate(bob, 'take', { coin: '8' });
    run(2_000);
    expect(owner(alice, '7', 'optimistic')).toBe('alice');
    expect(owner(alice, '7')).toBe(null);
    expect(owner(bob, '8')).toBe('bob');
    cut(false);
    run(8_000);
    for (const session of [alice, bob]) expect([owner(session, '7'), owner(session, '8')]).toEqual(['alice', 'bob']);
    expect(alice.isConnected).toBe(true);
  });

  test('keeps the order of what was done while it was cut off for long', () => {
    const { alice, bob, run, cut } = openPair(source);
    cut(true);
    const made = [mutate(alice, 'take', { coin: '7' }), mutate(alice, 'drop', { coin: '7' })];
    const note = mutate(alice, 'note', { id: 'a', text: 'after' });
    run(20_000);
    expect(alice.outcome(note)).toEqual({ state: 'pending' });
    cut(false);
    run(20_000);
    for (const one of [...made, note]) expect(alice.outcome(one)).toEqual({ state: 'settled' });
    expect(owner(bob, '7')).toBe(null);
    expect(alice.committed.hash).toBe(bob.committed.hash);
  });

  test('says how it gets on', () => {
    const { alice, run, cut } = openPair(source, 0);
    expect(alice.health).toMatchObject({ progress: 'joining', reasons: [], verified: undefined });
    run(3_000);
    expect(alice.health).toMatchObject({ progress: 'current', reasons: [], lag: 0, oldestPending: 0 });
    expect(alice.health.verified?.time).toBeGreaterThan(0);
    cut(true);
    mutate(alice, 'take', { coin: '2' });
    run(1_000);
    expect(alice.health).toMatchObject({ progress: 'progressing', oldestPending: 1_000_000_000 });
    run(6_000);
    const alone = { progress: 'disconnected', reasons: [] };
    expect(alice.health).toMatchObject(source === 'authority' ? { progress: 'stalled', reasons: ['pending'] } : alone);
    cut(false);
    run(15_000);
    expect(alice.health).toMatchObject({ progress: 'current', reasons: [], lag: 0, oldestPending: 0 });
  });

  test('opens lost connections again by itself, and settles what was done meanwhile', () => {
    const { alice, bob, run, down } = openPair(source);
    down(true);
    const mutation = mutate(alice, 'take', { coin: '9' });
    run(10_000);
    expect(alice.isConnected).toBe(false);
    expect(alice.health.progress).toBe('disconnected');
    expect(alice.outcome(mutation)).toEqual({ state: 'pending' });
    down(false);
    run(15_000);
    expect(alice.isConnected).toBe(true);
    expect(alice.outcome(mutation)).toEqual({ state: 'settled' });
    expect(owner(bob, '9')).toBe('alice');
    expect(alice.health.progress).toBe('current');
  });

  test('opens nothing any more once it is closed', () => {
    const { alice, run, down, tries } = openPair(source);
    alice.close('enough');
    down(true);
    const before = tries();
    run(10_000);
    down(false);
    run(10_000);
    expect(tries()).toBe(before);
  });

  test('settles or rejects everything, alike for both, whatever was cut off or closed meanwhile', () => {
    const step = fc.oneof(
      fc.record({ who: fc.constantFrom('alice', 'bob'), command: fc.constantFrom('take', 'drop'), coin: fc.nat(2) }),
      fc.record({ wait: fc.constantFrom(50, 400, 3_000, 9_000) }),
      fc.record({ fault: fc.constantFrom('cut', 'down'), isOn: fc.boolean() }),
    );
    const check = (steps: readonly (typeof step extends fc.Arbitrary<infer Step> ? Step : never)[]) => {
      const pair = openPair(source);
      const { alice, bob, run } = pair;
      const made: (() => string | undefined)[] = [];
      for (const one of steps) {
        if ('wait' in one) run(one.wait);
        else if ('fault' in one) pair[one.fault as 'cut' | 'down'](one.isOn);
        else {
          const session = one.who === 'alice' ? alice : bob;
          const answer = session.mutate(one.command, { coin: `${one.coin}` });
          if ('mutation' in answer) made.push(() => session.outcome(answer.mutation)?.state);
        }
      }
      pair.cut(false);
      pair.down(false);
      run(40_000);
      expect(made.map((state) => state())).toEqual(made.map(() => expect.stringMatching(/^(settled|rejected)$/)));
      expect(alice.committed.hash).toBe(bob.committed.hash);
      for (const session of [alice, bob]) {
        expect(session.optimistic.hash).toBe(session.committed.hash);
        expect(session.health).toMatchObject({ progress: 'current', lag: 0, oldestPending: 0 });
      }
    };
    fc.assert(fc.property(fc.array(step, { maxLength: 25 }), check), { numRuns: 15 });
  });
});
