import { describe, expect, test } from 'vitest';
import { StateRoot } from '../merkle/index.ts';
import { type Change, type RecordKey, recordKey, replicaId, type SyncRecord } from '../state/index.ts';
import { type TraceBody, TraceHub, type TraceRecord } from '../trace/index.ts';
import { type BlameEntry, blame } from './blame.ts';
import { captureOf, headerOf } from './captured.test-helper.ts';

const server = replicaId('server');
const bot = replicaId('bot');
const item = recordKey('item/a');

type Commit = readonly [writer: string, ...changes: Change[]];

const put = (record: SyncRecord, key: RecordKey = item): Change => ({ op: 'put', key, record });
const patch = (fields: SyncRecord, removed: string[] = []): Change => ({ op: 'patch', key: item, fields, removed });
const remove: Change = { op: 'remove', key: item };

/** An authority and a client, of which a test says what they tell. */
class Session {
  readonly #records: TraceRecord[] = [];
  readonly #hub = new TraceHub({ now: () => 0 });
  #version = 0;
  #own: StateRoot;
  #root: StateRoot;

  constructor(initial: readonly (readonly [RecordKey, SyncRecord])[]) {
    this.#hub.listen((record) => this.#records.push(record));
    this.#root = StateRoot.from(initial);
    this.#own = this.#root;
    for (const [id, role] of [
      [server, 'server'],
      [bot, 'client'],
    ] as const) {
      this.tell(id, { kind: 'replica', role });
      const records = initial.map(([key, record]) => ({ key, record }));
      this.tell(id, { kind: 'snapshot', reason: 'attach', version: 0, records, root: this.#root.hash, vector: [] });
    }
  }

  tell(replica: typeof server, body: TraceBody): void {
    this.#hub.emit(replica, body);
  }

  commit([writer, ...changes]: Commit): void {
    this.#root = this.#root.apply(changes);
    this.#version++;
    const event = { type: 'CHANGED', player: writer, detail: '' };
    const mutation = { writer: replicaId(writer), counter: this.#version };
    this.tell(server, { kind: 'commit', version: this.#version, event, mutation, changes, root: this.#root.hash });
  }

  /** The client takes over what changed since `from`, or what else it is told. */
  apply(from: number, ...changes: Change[]): void {
    this.#own = this.#own.apply(changes);
    this.tell(bot, { kind: 'apply', from, to: this.#version, changes, root: this.#own.hash });
  }

  /** What was touched on the client, in short. */
  async blamed(field?: string, within: string[] = []): Promise<string[]> {
    const capture = await captureOf(headerOf('blame', { authority: server }), this.#records);
    const { entries } = await blame(capture, bot, item, field, this.#records.length - 1, within);
    return entries.map(({ rule, writer, after }: BlameEntry) => `${rule} ${writer ?? '-'} ${JSON.stringify(after)}`);
  }
}

describe('blame', () => {
  test('follows a record through its removal and its new life', async () => {
    const session = new Session([[item, { owner: 'ann' }]]);
    session.commit(['ben', remove]);
    session.apply(0, remove);
    session.commit(['cid', put({ owner: 'cid' })]);
    session.apply(1, put({ owner: 'cid' }));
    const all = ['first state - "ann"', 'commit order ben undefined', 'commit order cid "cid"'];
    expect(await session.blamed('owner')).toEqual(all);
  });

  test('names who put the record without the field', async () => {
    const session = new Session([[item, { owner: 'ann', worth: 1 }]]);
    session.commit(['ben', patch({ owner: 'ben' })]);
    session.apply(0, patch({ owner: 'ben' }));
    session.commit(['cid', put({ worth: 2 })]);
    session.apply(1, patch({ worth: 2 }, ['owner']));
    expect((await session.blamed('owner')).at(-1)).toBe('commit order cid undefined');
  });

  test('names nobody where the commit that brought it is not in the capture', async () => {
    const session = new Session([[item, { owner: 'ann' }]]);
    session.commit(['ben', patch({ owner: 'ben' })]);
    session.apply(0, patch({ owner: 'ben' }));
    session.tell(server, { kind: 'gap', count: 1, reason: 'too fast' });
    session.commit(['cid', put({ worth: 2 }, recordKey('item/other'))]);
    session.apply(1, patch({ owner: 'dan' }), put({ worth: 2 }, recordKey('item/other')));
    expect(await session.blamed('owner')).toEqual([
      'first state - "ann"',
      'commit order ben "ben"',
      'commit order - "dan"',
    ]);
  });

  test('says of what comes into view and goes out of it that it was there all the time', async () => {
    const session = new Session([[item, { owner: 'ann' }]]);
    session.tell(bot, { kind: 'view', view: 'hall', version: 0, records: 1, root: StateRoot.from([]).hash });
    session.commit(['ben', patch({ owner: 'ben' })]);
    session.apply(0, remove);
    session.commit(['bot', put({}, recordKey('room/x'))]);
    session.apply(1, put({ owner: 'ben' }));
    session.commit(['cid', remove]);
    session.apply(2, remove);
    const all = ['first state - "ann"', 'view - undefined', 'view ben "ben"', 'commit order cid undefined'];
    expect(await session.blamed('owner')).toEqual(all);
  });

  test('goes into a field that is a map', async () => {
    const session = new Session([[item, { at: { x: 1, y: 1 } }]]);
    for (const [version, [writer, at]] of [
      ['ben', { x: 2, y: 1 }],
      ['cid', { x: 2, y: 2 }],
      ['dan', 7],
    ].entries() as Iterable<[number, [string, SyncRecord[string]]]>) {
      session.commit([writer, patch({ at })]);
      session.apply(version, patch({ at }));
    }
    expect(await session.blamed('at', ['x'])).toEqual([
      'first state - 1',
      'commit order ben 2',
      'commit order dan undefined',
    ]);
  });
});
