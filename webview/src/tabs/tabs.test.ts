import type { FrameField, StateEntry } from '@syncscope/protocol/capture';
import { recordKey } from '@syncscope/protocol/state';
import { describe, expect, it } from 'vitest';
import { bytesPerRow, fieldAt, flattenFields, printable } from './frame-fields.ts';
import { type TreeView, treeRows } from './state-tree.ts';

const field = (name: string, offset: number, length: number, children: FrameField[] = []): FrameField => ({
  name,
  text: name,
  offset,
  length,
  children,
});

describe('a frame and its bytes', () => {
  const rows = flattenFields(
    field('frame', 0, 20, [
      field('type', 0, 2),
      field('changes', 2, 12, [field('0', 3, 5, [field('key', 4, 4)]), field('1', 8, 6)]),
      field('root', 14, 6),
    ]),
  );

  it('lists parents before their children', () => {
    expect(rows.map((row) => `${row.depth}${row.field.name}`)).toEqual([
      '0type',
      '0changes',
      '10',
      '2key',
      '11',
      '0root',
    ]);
  });

  it.each([
    [0, 'type'],
    [2, 'changes'],
    [3, '0'],
    [4, 'key'],
    [9, '1'],
    [19, 'root'],
  ])('byte %i belongs to %s', (offset, name) => {
    expect(rows[fieldAt(rows, offset)]?.field.name).toBe(name);
  });

  it('a byte outside belongs to none', () => expect(fieldAt(rows, 20)).toBe(-1));

  it('does not overflow the stack on a frame that nests for ever', () => {
    let deep = field('end', 0, 1);
    for (let level = 0; level < 50_000; level++) deep = field('f', 0, 1, [deep]);
    expect(flattenFields(deep)).toHaveLength(50_000);
  });

  it('fits the width', () => {
    expect([900, 400, 200, 10].map((width) => bytesPerRow(width, 7.25))).toEqual([16, 8, 4, 4]);
    expect([0x41, 0x0a, 0x7f, 0xff].map(printable)).toEqual(['A', '·', '·', '·']);
  });
});

describe('the tree of a state', () => {
  const entry = (key: string, record: StateEntry['record'], more: Partial<StateEntry> = {}): StateEntry => ({
    key: recordKey(key),
    record,
    changedAt: 0,
    ...more,
  });
  const entries = [
    entry('room/hall', { name: 'Hall' }),
    entry('item/key', { owner: null, worth: 3 }, { optimistic: { owner: 'bot-1', worth: 3 } }),
    entry('item/map', { owner: 'bot-2' }, { optimistic: null }),
  ];
  const plain: TreeView = { toggled: new Set(), search: '', changed: new Map() };
  const ids = (view: Partial<TreeView>) =>
    treeRows(entries, { ...plain, ...view }).map((row) => row.id.replace('\n', '.'));

  it('is collections and their records in the order of keys', () => {
    expect(ids({})).toEqual(['item/', 'item/key', 'item/map', 'room/', 'room/hall']);
    expect(ids({ toggled: new Set(['item/']) })).toEqual(['item/', 'room/', 'room/hall']);
  });

  it('shows what a prediction says otherwise, and only that', () => {
    const rows = treeRows(entries, { ...plain, toggled: new Set(['item/key', 'item/map']) });
    expect(rows.filter((row) => row.type === 'field')).toMatchObject([
      { field: 'owner', value: null, predicted: { value: 'bot-1' } },
      { field: 'worth', value: 3 },
      { field: 'owner', value: 'bot-2', predicted: { value: undefined } },
    ]);
    expect(rows.find((row) => row.id === 'item/key\nworth')).not.toHaveProperty('predicted');
  });

  it('finds keys, names of fields and values', () => {
    expect(ids({ search: 'HALL' })).toEqual(['room/', 'room/hall', 'room/hall.name']);
    expect(ids({ search: 'bot-2' })).toEqual(['item/', 'item/map', 'item/map.owner']);
    expect(ids({ search: 'nothing like it' })).toEqual([]);
  });

  it('marks what changed last', () => {
    const changed = new Map([
      [
        'item/key',
        { key: recordKey('item/key'), side: 'both' as const, fields: [{ field: 'worth', left: 3, right: 2 }] },
      ],
    ]);
    const rows = treeRows(entries, { ...plain, changed, toggled: new Set(['item/key']) });
    expect(rows.filter((row) => 'isChanged' in row && row.isChanged).map((row) => row.id)).toEqual([
      'item/',
      'item/key',
      'item/key\nworth',
    ]);
  });

  it('opens the history of one value in place', () => {
    const place = { key: recordKey('item/map'), field: 'owner' };
    const history = {
      position: 4,
      time: 1,
      version: 2,
      before: null,
      after: 'bot-2',
      summary: '',
      rule: 'commit order',
      why: '',
    } as const;
    const view = { ...plain, toggled: new Set(['item/map']) };
    const open = treeRows(entries, { ...view, history: { place, entries: [history] } });
    expect(open.map((row) => row.type)).toEqual([
      'collection',
      'record',
      'record',
      'field',
      'history',
      'collection',
      'record',
    ]);
    const none = treeRows(entries, { ...view, history: { place, entries: [] } });
    expect(none.map((row) => row.type)).toContain('note');
  });

  it('treats names that objects are born with as any other', () => {
    const odd = [entry('odd/x', JSON.parse('{"constructor": 1, "toString": "x"}'))];
    const rows = treeRows(odd, { ...plain, toggled: new Set(['odd/x']) });
    expect(rows.filter((row) => row.type === 'field')).toMatchObject([{ value: 1 }, { value: 'x' }]);
  });
});
