import { expect, test } from 'vitest';
import { decodeEntry, encodeSnapshot, SharedEventLog } from '../events/index.ts';
import type { ReconcileRequest } from '../messages/index.ts';
import { seededRandom } from '../ports/index.ts';
import { recordKey, replicaId } from '../state/index.ts';
import { firstSnapshot } from '../sync/index.ts';
import { TraceHub, type TraceRecord } from '../trace/index.ts';
import { firstWriteWins } from './conflicts.ts';
import { NotesWorld, notesSession } from './notes.test-helper.ts';

const FIRST = firstSnapshot(notesSession, seededRandom(1));
const PHONE = replicaId('phone');

/** One of two authorities over one log, which takes an append only behind its end. */
class Gateway {
  readonly log = new SharedEventLog('broker');
  readonly world: NotesWorld;
  readonly #common: Uint8Array[];
  readonly told: TraceRecord[] = [];

  constructor(common: Uint8Array[]) {
    this.#common = common;
    this.log.begin(encodeSnapshot(FIRST));
    const tap = new TraceHub({ now: () => 0 });
    tap.listen((record) => this.told.push(record));
    this.world = new NotesWorld({ policyOf: () => firstWriteWins, tap }, { log: this.log, ring: 100 });
  }

  /** Hands over what waits. Answers whether it came first. */
  append(): boolean {
    const batch = this.log.batch(100, 1_000_000);
    if (!batch) throw new Error('nothing waits');
    const isFirst = batch.expected === this.#common.length;
    if (isFirst) this.#common.push(...batch.entries);
    this.follow();
    return isFirst;
  }

  follow(): void {
    const from = this.log.durable;
    for (const [at, bytes] of this.#common.slice(from).entries()) this.log.agree(from + 1 + at, bytes);
  }

  handle(request: ReconcileRequest) {
    return this.world.reconciler.handle(request, 0);
  }
}

function edit(): ReconcileRequest {
  const before = { text: 'hello', color: 'white', parent: null };
  const key = recordKey('note/first');
  return {
    session: 'notes',
    device: PHONE,
    settled: 0,
    acknowledged: { version: 0, progress: 0, root: FIRST.root },
    mutations: [
      {
        counter: 1,
        command: 'edit',
        args: { key, text: 'mine' },
        creates: [],
        madeAt: 0,
        madeOn: 1,
        base: [{ key, record: before }],
        mine: [{ key, record: { ...before, text: 'mine' } }],
      },
    ],
  };
}

test('what another gateway comes before is weighed against it anew, and answered as it ended', () => {
  const common: Uint8Array[] = [];
  const [here, there] = [new Gateway(common), new Gateway(common)];
  expect(here.handle(edit())).toBeUndefined();
  there.world.elsewhere('edit', { key: 'note/first', text: 'theirs' });
  expect(there.append()).toBe(true);
  expect(here.append()).toBe(false);
  const conflicts = () => here.told.filter(({ body }) => body.kind === 'conflict');
  expect(here.handle(edit())).toBeUndefined();
  // It may still come to nothing, and be another conflict than this.
  expect(conflicts()).toEqual([]);
  expect(here.append()).toBe(true);
  const answer = here.handle(edit());
  here.handle(edit());
  expect(conflicts()).toHaveLength(1);
  expect(answer).toMatchObject({ settled: 1, applied: [], rejected: [{ counter: 1, code: 'conflict' }] });
  expect(common.map((bytes) => decodeEntry(bytes).outcome)).toEqual(['committed', 'refused']);
  expect(here.world.record('note/first')).toMatchObject({ text: 'theirs' });
});

test('what another gateway has settled meanwhile is answered as it ended there', () => {
  const common: Uint8Array[] = [];
  const [here, there] = [new Gateway(common), new Gateway(common)];
  expect(here.handle(edit())).toBeUndefined();
  there.world.elsewhere('edit', { key: 'note/first', text: 'theirs' });
  expect(there.handle(edit())).toBeUndefined();
  expect(there.append()).toBe(true);
  expect(here.append()).toBe(false);
  expect(here.handle(edit())).toMatchObject({ settled: 1, applied: [], rejected: [{ counter: 1 }] });
});
