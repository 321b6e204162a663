import { expect, test } from 'vitest';
import type { ReconciliationEnd, SyncMetrics } from '../ports/index.ts';
import { recordKey } from '../state/index.ts';
import { MemorySession } from './memory-link.test-helper.ts';

/** Keeps what it is told. */
class Told implements SyncMetrics {
  readonly latencies = new Map<string, number[]>();
  readonly backlogs = new Map<string, number>();
  readonly ends: Omit<ReconciliationEnd, 'now'>[] = [];
  highest = 0;

  latency(client: string, time: number): void {
    this.latencies.set(client, [...(this.latencies.get(client) ?? []), time]);
  }

  backlog(client: string, waiting: number): void {
    this.backlogs.set(client, waiting);
    this.highest = Math.max(this.highest, waiting);
  }

  reconciliation({ now: _, ...end }: ReconciliationEnd): void {
    this.ends.push(end);
  }
}

test('an authority tells of latencies, of what each client lacks, and how repairs end', () => {
  const metrics = new Told();
  const session = new MemorySession({ metrics });
  const alice = session.join('alice');
  session.join('bob');
  session.run(100);
  for (let id = 1; id <= 3; id++) session.manager.mutate('note', { id }, session.now);
  session.run(500);
  expect([...metrics.latencies.keys()].sort()).toEqual(['alice', 'bob']);
  expect(Math.min(...metrics.latencies.get('alice')!)).toBeGreaterThanOrEqual(0);
  expect(metrics.highest).toBeGreaterThan(0);
  expect(Object.fromEntries(metrics.backlogs)).toEqual({ alice: 0, bob: 0 });
  expect(metrics.ends).toEqual([]);
  alice.corruptCommitted([{ op: 'remove', key: recordKey('coin/7') }]);
  session.run(1_500);
  expect(metrics.ends).toEqual([{ client: 'alice', way: 'merkle', hasSucceeded: true }]);
});

test('a repair that nobody answers has failed', () => {
  const metrics = new Told();
  const session = new MemorySession({ metrics });
  const alice = session.join('alice');
  session.run(100);
  alice.corruptCommitted([{ op: 'remove', key: recordKey('coin/7') }]);
  session.fate = (frame, to) =>
    to === 'client' && session.manager.stats.mismatches > 0 && metrics.ends.length === 0 ? [] : [frame];
  session.run(20_000);
  expect(metrics.ends[0]).toEqual({ client: 'alice', way: 'merkle', hasSucceeded: false });
  expect(alice.committed.hash).toBe(session.manager.root.hash);
});
