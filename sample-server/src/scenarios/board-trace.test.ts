import { RGA, recordsOfState } from '@syncscope/protocol/crdt';
import { type Change, recordKey, replicaId, stateHash } from '@syncscope/protocol/state';
import { closedTap, type TraceBody, TraceHub, type TraceRecord } from '@syncscope/protocol/trace';
import { expect, test } from 'vitest';
import { TEXT, TEXT_VECTOR } from './board-text.ts';
import { boardTap } from './board-trace.ts';

const [server, anna, bert] = ['server', 'anna', 'bert'].map(replicaId) as [never, never, never];
const root = stateHash('0123456789abcdef');

function watched() {
  const records: TraceRecord[] = [];
  let now = 0;
  const hub = new TraceHub({ now: () => now++ });
  hub.listen((record) => records.push(record));
  const told = (): unknown[] =>
    records.flatMap(({ replica, body, cause }) =>
      body.kind === 'operation' ? [[replica, body.origin, body.writer, body.counter, cause]] : [],
    );
  return { tap: boardTap(hub), records, told };
}

/** The changes that a text of these counters is told by. */
function vectorOf(entries: Readonly<Record<string, number>>): Change[] {
  const list = Object.entries(entries).map(([replica, counter]) => ({ replica, counter }));
  return [{ op: 'put', key: TEXT_VECTOR, record: { entries: list } }];
}

const applied = (entries: Readonly<Record<string, number>>): TraceBody => {
  return { kind: 'apply', from: 1, to: 2, changes: vectorOf(entries), root };
};

test('tells of each writer whose text came in, once, and of what was typed where it was', () => {
  const { tap, told } = watched();
  const mutation = { writer: anna, counter: 1 };
  tap.emit(anna, { kind: 'prediction', mutation, command: 'type', version: 1, changes: vectorOf({ anna: 3 }) });
  tap.emit(anna, applied({ anna: 3, bert: 2 }));
  tap.emit(anna, applied({ anna: 3, bert: 2 }));
  tap.emit(bert, applied({ anna: 3, bert: 2 }));
  tap.emit(anna, { kind: 'apply', from: 2, to: 3, changes: [], root });
  expect(told()).toEqual([
    ['anna', 'local', 'anna', 3, [1]],
    ['anna', 'remote', 'bert', 2, [3]],
    ['bert', 'remote', 'anna', 3, [6]],
  ]);
});

test('does not tell again of what a snapshot has brought', () => {
  const { tap, told } = watched();
  const document = RGA.text(bert);
  document.insert(0, 'ab');
  const records = Array.from(recordsOfState(document.state(), TEXT).entries(), ([key, record]) => ({ key, record }));
  tap.emit(anna, { kind: 'snapshot', reason: 'full-sync', version: 1, records, root, vector: [] });
  tap.emit(anna, applied({ bert: 2 }));
  tap.emit(anna, applied({ bert: 3 }));
  expect(told()).toEqual([['anna', 'remote', 'bert', 3, [3]]]);
});

test('tells how a conflict was decided, and whose side it was', () => {
  const { tap, records } = watched();
  const side = (writer: string, counter: number, text: string) => ({ writer, counter, role: '', value: { text } });
  const conflict = {
    key: 'note/plan',
    unit: 'text',
    fields: ['text'],
    state: 'decided',
    base: { text: 'a' },
    sides: [side('anna', 1, 'b'), side('bert', 2, 'c')],
    by: 'anna',
    chosen: { text: 'c' },
  };
  const changes: Change[] = [{ op: 'put', key: recordKey('conflict/1'), record: conflict }];
  const event = { type: 'CONFLICT_DECIDED', player: 'anna', detail: '' };
  tap.emit(server, { kind: 'commit', version: 2, event, changes, root });
  tap.emit(server, { kind: 'commit', version: 3, event: { ...event, type: 'NOTE_EDITED' }, changes, root });
  const told = records.map(({ body }) => body).filter((body) => body.kind === 'conflict');
  expect(told).toEqual([
    {
      kind: 'conflict',
      key: 'note/plan',
      field: 'text',
      policy: 'human',
      state: 'decided',
      base: { text: 'a' },
      sides: [
        { writer: 'anna', record: { text: 'b' } },
        { writer: 'bert', record: { text: 'c' } },
      ],
      result: { text: 'c' },
      winner: 'bert',
      reason: 'anna has decided',
    },
  ]);
});

test('costs nothing where nobody listens', () => {
  expect(boardTap(closedTap).isOpen).toBe(false);
  expect(boardTap(closedTap).emit(anna, applied({ bert: 1 }))).toBe(0);
});
