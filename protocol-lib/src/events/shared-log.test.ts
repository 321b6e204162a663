import { describe, expect, test } from 'vitest';
import { type EventLog, encodeSnapshot, eventLogContract, SharedEventLog } from './index.ts';
import { begin, boxes, FIRST, history } from './log.test-helper.ts';
import { stateAtPosition } from './replay.ts';

/** What several sides have agreed on. */
interface Common {
  base: number;
  first: Uint8Array | undefined;
  readonly entries: Uint8Array[];
  readonly snapshots: Map<number, Uint8Array>;
}

function settle(log: SharedEventLog, common: Common): void {
  for (let chore = log.takeChore(); chore; chore = log.takeChore()) {
    if (chore.kind === 'compact') {
      common.entries.splice(0, chore.position - common.base);
      common.base = chore.position;
      common.first = common.snapshots.get(chore.position);
    } else {
      common.snapshots.set(chore.position, chore.bytes);
      if (chore.kind === 'begin') [common.base, common.first] = [chore.position, chore.bytes];
    }
  }
  for (let batch = log.batch(3, 1_000); batch; batch = log.batch(3, 1_000)) {
    common.entries.push(...batch.entries);
    for (const [index, bytes] of batch.entries.entries()) log.agree(batch.expected + index + 1, bytes);
  }
  if (!log.isIdle) settle(log, common);
}

describe('a log that is shared, with nobody else there', () => {
  const commons = new Map<EventLog, Common>();
  const tests = eventLogContract({
    create() {
      const log = new SharedEventLog('broker');
      commons.set(log, { base: -1, first: undefined, entries: [], snapshots: new Map() });
      return log;
    },
    settle: (log) => settle(log as SharedEventLog, commons.get(log)!),
    reopen(log) {
      const common = commons.get(log)!;
      const again = new SharedEventLog('broker');
      if (common.first) again.begin(common.first);
      const snapshots = [...common.snapshots].filter(([position]) => position > common.base);
      for (const [index, bytes] of common.entries.entries()) again.agree(common.base + index + 1, bytes);
      for (const [position] of snapshots) again.putSnapshot(log.snapshot(position)!);
      while (again.takeChore()) {}
      commons.set(again, common);
      return again;
    },
  });
  for (const { name, run } of tests) test(name, run);
});

describe('a log that is shared', () => {
  const box = (player: string, data: number) =>
    history([
      {
        writer: player as never,
        events: [{ type: 'ADDED', player, detail: 'a', data }],
        isRefused: false,
        pause: 0,
        withChanges: false,
      },
    ]).entries;
  const opened = (): SharedEventLog => {
    const first = new SharedEventLog('broker');
    begin(first);
    return first;
  };

  test('knows its own entries again, whoever tells of them, and lets go of what lost its place', () => {
    const [left, right] = [opened(), opened()];
    left.append(0, box('alice', 1));
    right.append(0, box('bob', 2));
    const won = left.batch(10, 1_000)!;
    for (const log of [left, right]) log.agree(1, won.entries[0]!);
    expect([left.durable, left.last, left.overtaken]).toEqual([1, 1, 0]);
    expect([right.durable, right.last, right.overtaken]).toEqual([1, 1, 1]);
    expect(right.read(0)).toEqual(box('alice', 1));
    expect(right.batch(10, 1_000)).toBeUndefined();
    // It goes on behind what won.
    const { mutation, ...rest } = box('bob', 2)[0]!;
    right.append(1, [{ ...rest, mutation, position: 2, version: 3 }]);
    expect([right.durable, right.last]).toEqual([1, 2]);
  });

  test('takes no entry of another that cannot follow, and ends', () => {
    const log = opened();
    const other = opened();
    other.append(0, box('alice', 1));
    const [bytes] = other.batch(1, 1_000)!.entries as [Uint8Array];
    log.agree(2, bytes);
    expect(log.failure?.code).toBe('LOG_DAMAGED');
    const again = opened();
    again.agree(1, new Uint8Array([1, 2, 3]));
    expect(again.failure?.code).toBe('LOG_DAMAGED');
    expect([again.durable, again.last]).toEqual([0, 0]);
    expect(() => again.append(0, box('bob', 1))).toThrow(expect.objectContaining({ code: 'LOG_DAMAGED' }));
  });

  test('keeps a snapshot of what is not agreed only if it comes to be', () => {
    const [kept, lost] = [opened(), opened()];
    for (const log of [kept, lost]) {
      while (log.takeChore()) {}
      log.append(0, box('alice', 1));
      const { root, version, time, writers } = stateAtPosition(log, boxes, 1);
      const records = Array.from(root.entries(), ([key, record]) => ({ key, record }));
      const standing = [...writers.values()];
      log.putSnapshot({ position: 1, version, root: root.hash, time, records, writers: standing });
      expect(log.takeChore()).toBeUndefined();
      expect(log.snapshot()?.position).toBe(1);
    }
    kept.agree(1, kept.batch(1, 1_000)!.entries[0]!);
    expect(kept.takeChore()).toMatchObject({ kind: 'snapshot', position: 1 });
    const other = opened();
    other.append(0, box('bob', 1));
    lost.agree(1, other.batch(1, 1_000)!.entries[0]!);
    expect(lost.takeChore()).toBeUndefined();
    expect(lost.snapshot()?.root).toBe(FIRST.hash);
    expect(() => lost.begin(encodeSnapshot(lost.snapshot()!))).toThrow(
      expect.objectContaining({ code: 'LOG_CONFLICT' }),
    );
  });
});
