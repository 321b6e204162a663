import { describe, expect, test } from 'vitest';
import { StateRoot } from '../merkle/index.ts';
import { PROTOCOL_VERSION } from '../messages/index.ts';
import { type Change, type RecordKey, recordKey, replicaId, type SyncRecord } from '../state/index.ts';
import { TRACE_VERSION, type TraceHeader, TraceHub } from '../trace/index.ts';
import { combinedFilter } from './filter-syntax.ts';
import { LiveCapture } from './live.ts';
import { encodeTraceRecord } from './record-codec.ts';

const server = replicaId('server');
const header: TraceHeader = {
  ...{ sessionId: 'paths', title: 'Paths', scenario: 'paths', startedAt: 0, authority: server, build: 'test' },
  ...{ traceVersion: TRACE_VERSION, protocolVersion: PROTOCOL_VERSION },
};

/** A capture of an authority that commits these changes, one after the other; the positions of the commits begin at 2. */
function captureOf(initial: readonly (readonly [string, SyncRecord])[], commits: readonly Change[]) {
  const capture = new LiveCapture(header);
  const hub = new TraceHub({ now: () => 0 });
  hub.listen((record) => capture.append(encodeTraceRecord({ ...record, time: 8_200_000_000 })));
  let root = StateRoot.from(initial.map(([key, record]) => [recordKey(key), record] as const));
  hub.emit(server, { kind: 'replica', role: 'server' });
  const records = initial.map(([key, record]) => ({ key: recordKey(key), record }));
  hub.emit(server, { kind: 'snapshot', reason: 'attach', version: 0, root: root.hash, records, vector: [] });
  for (const [at, change] of commits.entries()) {
    root = root.apply([change]);
    const event = { type: 'CHANGED', player: 'ann', detail: 'seven or 8' };
    hub.emit(server, { kind: 'commit', version: at + 1, event, changes: [change], root: root.hash });
  }
  return async (filter: string): Promise<number[]> =>
    (await capture.rows(filter, 0, 100)).rows.map(({ position }) => position);
}

const put = (key: string, record: SyncRecord): Change => ({ op: 'put', key: recordKey(key), record });
const patch = (key: string, fields: SyncRecord, removed: string[] = []): Change => {
  return { op: 'patch', key: recordKey(key), fields, removed };
};

describe('a path', () => {
  const passing = captureOf(
    [
      ['item/a', { b: { c: 1 } }],
      ['item/a.b', { c: 2 }],
      ['my.shelf/x', { owner: 'ann' }],
      ['item/say "hi" | or', { owner: 'ann' }],
    ],
    [
      patch('item/a', { b: { c: 3 } }),
      patch('item/a.b', { c: 4 }),
      patch('my.shelf/x', { owner: 'ben' }),
      patch('item/say "hi" | or', { owner: 'ben' }),
      patch('item/a', { b: 5 }),
    ],
  );

  test('is read in each way that a key with dots allows', async () => {
    expect(await passing('changes:item/a.b.c')).toEqual([2, 3, 6]);
    expect(await passing('changes:item/a.b')).toEqual([2, 3, 6]);
    expect(await passing('changes:item/a.b.d')).toEqual([6]);
    expect(await passing('state.item/a.b.c=3')).toEqual([2, 3, 4, 5]);
    expect(await passing('state.item/a.b.c=4')).toEqual([3, 4, 5, 6]);
    expect(await passing('changes:my.shelf/x.owner')).toEqual([4]);
    expect(await passing('state.my.shelf/x.owner=ben')).toEqual([4, 5, 6]);
  });

  test('is in quotes as it stands', async () => {
    expect(await passing('changes:"item/a.b"')).toEqual([3]);
    expect(await passing('changes:"item/a".b')).toEqual([2, 6]);
    expect(await passing('state."item/a".b.c=3')).toEqual([2, 3, 4, 5]);
    expect(await passing('state."item/a.b".c=4')).toEqual([3, 4, 5, 6]);
    expect(await passing('state."item/a.b.c"=4')).toEqual([]);
    expect(await passing('changes:"my.shelf/x".owner')).toEqual([4]);
  });

  test('may hold quotes, each written twice, spaces and bars', async () => {
    expect(await passing('changes:"item/say ""hi"" | or".owner')).toEqual([5]);
    expect(await passing('changes:item/"say ""hi"" | or".owner')).toEqual([5]);
    expect(await passing('state."item/say ""hi"" | or".owner=ben')).toEqual([5, 6]);
    expect(await passing('key:"item/say ""hi"" | or"')).toEqual([5]);
    await expect(passing('changes:"item/say ""hi')).rejects.toMatchObject({ place: { offset: 22 } });
  });
});

test('a record that is put without a field changes the field', async () => {
  const passing = captureOf(
    [['item/a', { owner: 'ann' }]],
    [put('item/a', { worth: 1 }), patch('item/a', { worth: 2 })],
  );
  expect(await passing('changes:item/a.owner')).toEqual([2]);
  expect(await passing('changes:item/a.worth')).toEqual([2, 3]);
});

test('a divergence is about the fields that differ, also those with lists and maps', async () => {
  const capture = new LiveCapture(header);
  const hub = new TraceHub({ now: () => 0 });
  hub.listen((record) => capture.append(encodeTraceRecord(record)));
  const of = (owner: string): SyncRecord => ({ owner, at: { x: 1, y: [2] }, size: -0 });
  const differences = [{ key: recordKey('item/a') as RecordKey, own: of('ann'), theirs: of('ben') }];
  hub.emit(server, { kind: 'replica', role: 'server' });
  hub.emit(server, {
    kind: 'divergence',
    against: replicaId('bot-1'),
    version: 1,
    differences,
    rounds: 1,
    hashes: 1,
    bytes: 1,
  });
  const passes = async (filter: string) => (await capture.rows(filter, 0, 10)).total === 1;
  expect(await passes('changes:item/a.owner')).toBe(true);
  for (const same of ['at', 'at.x', 'size', 'colour']) expect(await passes(`changes:item/a.${same}`), same).toBe(false);
});

test('what is written like a number is also a text, and bytes are their hex digits', async () => {
  const passing = captureOf(
    [],
    [
      put('item/a', { id: '007', flag: 'true', bytes: Uint8Array.of(0x12, 0x34) }),
      put('item/b', { id: '12345678e1234567', flag: true, bytes: Uint8Array.of(0xab) }),
      put('item/c', { id: 7, flag: null, bytes: Number.POSITIVE_INFINITY }),
    ],
  );
  const field = (name: string): string => `body.changes.0.record.${name}`;
  expect(await passing(`${field('id')}=007`)).toEqual([2, 4]);
  expect(await passing(`${field('id')}="007"`)).toEqual([2]);
  expect(await passing(`${field('id')}=12345678e1234567`)).toEqual([3]);
  expect(await passing(`${field('flag')}=true`)).toEqual([2, 3]);
  expect(await passing(`${field('flag')}="true"`)).toEqual([2]);
  expect(await passing(`${field('flag')}!=true`)).toEqual([4]);
  expect(await passing(`${field('bytes')}=1234`)).toEqual([2]);
  expect(await passing(`${field('bytes')}=0x1234`)).toEqual([2]);
  expect(await passing(`${field('bytes')}=ab`)).toEqual([3]);
  expect(await passing(`${field('bytes')}=Infinity`)).toEqual([4]);
  // In floating point, 8.2 times a thousand millions is a little less than that.
  expect(await passing('time=8.2s')).toHaveLength(5);
});

test('a delta that leads over several versions is of others than its last as well', async () => {
  const capture = new LiveCapture(header);
  const hub = new TraceHub({ now: () => 0 });
  hub.listen((record) => capture.append(encodeTraceRecord(record)));
  const root = StateRoot.from([]).hash;
  hub.emit(server, { kind: 'delta', from: 1, to: 3, count: 0, root });
  hub.emit(server, { kind: 'delta', from: 2, to: 3, count: 0, root });
  const found = async (filter: string) => (await capture.rows(filter, 0, 10)).rows.map(({ position }) => position);
  expect(await found('version!=3')).toEqual([0]);
  expect(await found('version=2')).toEqual([0]);
});

test('returns, tabs and spaces that do not break are between terms', async () => {
  const passing = captureOf([], [put('item/a', { owner: 'ann' })]);
  expect(await passing('kind:commit\r\nkey:item/a')).toEqual([2]);
  expect(await passing('kind:commit\u00a0and\tkey:item/a')).toEqual([2]);
});

test('an error in a regular expression points at what is wrong of it', async () => {
  const passing = captureOf([], []);
  await expect(passing('kind:log and /ab[z-a]/')).rejects.toMatchObject({ place: { offset: 17 } });
  await expect(passing('body.text~/\\/x(a{1001})/')).rejects.toMatchObject({ place: { offset: 16 } });
});

test('filters are combined as wholes, and a fault is told where the one that was written has it', () => {
  expect(combinedFilter('a or b', 'and', 'kind:send')).toBe('(a or b) and kind:send');
  expect(combinedFilter(' ', 'and', 'kind:send')).toBe('kind:send');
  expect(combinedFilter('', 'or', 'kind:send')).toBe('');
  for (const [text, offset] of [
    ['a) or (b', 1],
    ['kind:nothing', 5],
  ] as const) {
    expect(() => combinedFilter(text, 'and', 'kind:send')).toThrow(
      expect.objectContaining({ code: 'FILTER_SYNTAX', place: { offset } }),
    );
  }
});
