import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { seededRandom } from '../ports/index.ts';
import { replicaId, type Value } from '../state/index.ts';
import { Backoff } from './backoff.ts';
import { offlineStorageContract } from './contract.ts';
import { type MemoryRows, MemoryStorage, memoryRows } from './memory-storage.ts';
import { codeOf, NotesWorld } from './notes.test-helper.ts';
import { renameInArgs } from './references.ts';
import { decodeRow, encodeRow, META_ROW, metaSchema } from './rows.ts';
import { IdMap, parseTemporary, temporaryId } from './temp-ids.ts';

describe('MemoryStorage', () => {
  const shared = new WeakMap<MemoryStorage, MemoryRows>();
  const open = async (rows: MemoryRows): Promise<MemoryStorage> => {
    const storage = new MemoryStorage(rows);
    shared.set(storage, rows);
    return storage;
  };
  const contract = offlineStorageContract({
    create: () => open(memoryRows()),
    reopen: (storage) => open(shared.get(storage as MemoryStorage)!),
  });
  for (const { name, run } of contract) it(name, run);
});

describe('backoff', () => {
  it('waits evenly between nothing and a ceiling that doubles up to its limit', () => {
    fc.assert(
      fc.property(fc.nat(), fc.integer({ min: 1, max: 20 }), (seed, failures) => {
        const backoff = new Backoff(seededRandom(seed), { base: 100, max: 5_000 });
        for (let count = 0; count < failures; count++) backoff.failed(1_000_000);
        const ceiling = Math.min(5_000, 100 * 2 ** (failures - 1));
        expect(backoff.ceiling(failures)).toBe(ceiling);
        expect(backoff.remaining(1_000_000)).toBeLessThanOrEqual(ceiling);
        expect(backoff.remaining(1_000_000 + ceiling)).toBe(0);
      }),
    );
    const random = seededRandom(1);
    const waits = Array.from({ length: 2_000 }, () => {
      const backoff = new Backoff(random, { base: 1_000, max: 1_000 });
      backoff.failed(0);
      return backoff.remaining(0);
    });
    const mean = waits.reduce((sum, wait) => sum + wait, 0) / waits.length;
    expect([mean > 450, mean < 550, Math.min(...waits) < 20, Math.max(...waits) > 980]).toEqual([
      true,
      true,
      true,
      true,
    ]);
  });

  it('starts over after a success, tries at once when woken, and is not fooled by a clock that was set back', () => {
    const backoff = new Backoff({ next: () => 0.999 }, { base: 100, max: 5_000 });
    for (let count = 0; count < 10; count++) backoff.failed(1_000_000);
    expect(backoff.remaining(1_000_000)).toBe(4_995);
    expect(backoff.remaining(500)).toBe(0);
    backoff.wake();
    expect([backoff.remaining(1_000_000), backoff.failures]).toEqual([0, 10]);
    backoff.reset();
    backoff.failed(0);
    expect(backoff.remaining(0)).toBe(100);
    expect(() => new Backoff(seededRandom(1), { base: 0, max: 10 })).toThrow(RangeError);
  });
});

describe('references', () => {
  const rename = (text: string): string => (text.endsWith('~a-1') ? text.replace('~a-1', 'real') : text);
  const renamed = (path: string, args: Value): Value =>
    renameInArgs({ commands: { c: [path] }, records: {} }, 'c', args, rename);

  it('are renamed where they are declared, and nowhere else', () => {
    const text = '~a-1';
    expect(renamed('to', { to: 'n/~a-1', text })).toEqual({ to: 'n/real', text });
    expect(renamed('to', { to: text })).toEqual({ to: 'real' });
    expect(renamed('list.*', { list: [text, 'b', 7], text })).toEqual({ list: ['real', 'b', 7], text });
    expect(renamed('links.*.to', { links: [{ to: text, text }, { to: 'x' }] })).toEqual({
      links: [{ to: 'real', text }, { to: 'x' }],
    });
    expect(renamed('by.*', { by: { x: text } })).toEqual({ by: { x: 'real' } });
    expect(renamed('by.{key}', { by: { 'n/~a-1': text, other: 1 } })).toEqual({ by: { 'n/real': text, other: 1 } });
    expect(() => renamed('by.{key}', { by: { '~a-1': 1, real: 2 } })).toThrow(/would become one/);
  });

  it('leave arguments without any as they are, the same object', () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.constantFrom('a', 'a.*', 'a.b.c', '*.{key}', '{key}', '*'), (args, path) => {
        expect(renameInArgs({ commands: { c: [path] }, records: {} }, 'c', args as Value, (one) => one)).toBe(args);
      }),
    );
  });
});

describe('temporary ids', () => {
  it('are read as they were made, also within keys, and told from all other texts', () => {
    fc.assert(
      fc.property(
        fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/),
        fc.integer({ min: 1, max: 2 ** 53 - 1 }),
        (name, number) => {
          const id = { device: replicaId(name), number };
          expect(parseTemporary(temporaryId(id))).toEqual(id);
          expect(parseTemporary(`some/where/${temporaryId(id)}`)).toEqual(id);
          expect(parseTemporary(temporaryId(id).slice(1))).toBeUndefined();
        },
      ),
    );
    for (const text of ['', '~', '~a', '~a-0', '~a-01', '~-1', '~a-1x', '~a-9999999999999999', '~a-1/x']) {
      expect(parseTemporary(text)).toBeUndefined();
    }
  });

  it('are mapped by themselves, whatever collection they stand in', () => {
    const map = new IdMap();
    map.set({ temporary: 'n/~a-1' as never, key: 'n/7' as never });
    expect(['~a-1', 'n/~a-1', 'm/~a-1', 'n/~a-2', 'x'].map((one) => map.rename(one))).toEqual([
      '7',
      'n/7',
      'm/7',
      'n/~a-2',
      'x',
    ]);
  });
});

describe('what is stored', () => {
  const meta = { format: 1, session: 'notes', device: replicaId('phone'), counter: 0, temporaries: 0, settled: 0 };

  it('is refused where it is not what was written: any byte, any other place', () => {
    const { value } = encodeRow(META_ROW, meta);
    expect(decodeRow(metaSchema, META_ROW, value!)).toEqual(meta);
    expect(() => decodeRow(metaSchema, 'other', value!)).toThrow(/not what was written/);
    for (let at = 0; at < value!.length; at++) {
      const damaged = value!.slice();
      damaged[at]! ^= 1;
      expect(() => decodeRow(metaSchema, META_ROW, damaged)).toThrow(/not what was written/);
      expect(() => decodeRow(metaSchema, META_ROW, value!.subarray(0, at))).toThrow(/not what was written/);
    }
  });

  const opened = async (rows: MemoryRows, name = 'phone'): Promise<string> => {
    return codeOf(new NotesWorld().device(name, { storage: new MemoryStorage(rows) }));
  };
  const stored = async (): Promise<MemoryRows> => {
    const rows = memoryRows();
    const device = await new NotesWorld().device('phone', { storage: new MemoryStorage(rows) });
    await device.sync({ pull: true });
    await device.mutate({ command: 'log', args: { what: 'x' } });
    return rows;
  };

  it("is refused where it is a newer build's, another device's, nobody's, or lacks a mutation", async () => {
    const rows = await stored();
    expect(await opened(rows, 'other')).toBe('STORAGE_FOREIGN');
    const newer = encodeRow(META_ROW, { format: 2, everything: 'new' });
    expect(await opened({ ...rows, rows: new Map(rows.rows).set(META_ROW, newer.value!) })).toBe('STORAGE_NEWER');
    const lacking = new Map(rows.rows);
    lacking.delete('mutation/0000000000000001');
    expect(await opened({ ...rows, rows: lacking })).toBe('STORAGE_DAMAGED');
    expect(await opened({ revision: 3, rows: new Map([['x', Uint8Array.of(1)]]) })).toBe('STORAGE_FOREIGN');
    expect(await opened(rows)).toBe('nothing was thrown');
  });

  it('keeps mutations where the copy of the state is damaged, and fetches that again', async () => {
    const rows = await stored();
    const record = new Map(rows.rows);
    record.set('record/note/first', Uint8Array.of(1, 2, 3));
    const world = new NotesWorld();
    const device = await world.device('phone', { storage: new MemoryStorage({ ...rows, rows: record }) });
    expect([device.version, device.status.counts.pending]).toEqual([0, 1]);
    expect(await device.sync()).toBe('done');
    expect(device.local.hash).toBe(world.manager.root.hash);
    expect(world.done).toEqual(['x']);
    await device.close();
  });

  it('is written by several at once without losing anything', async () => {
    const world = new NotesWorld();
    const rows = memoryRows();
    const tab = (owner: string) => world.device('phone', { storage: new MemoryStorage(rows), owner });
    const [one, other] = [await tab('one'), await tab('other')];
    await one.sync({ pull: true });
    const make = async (device: typeof one, name: string): Promise<void> => {
      for (let step = 0; step < 20; step++) await device.mutate({ command: 'log', args: { what: `${name}${step}` } });
    };
    await Promise.all([make(one, 'a'), make(other, 'b')]);
    expect(await other.sync()).toBe('elsewhere');
    world.now += 60_000;
    expect(await other.sync()).toBe('done');
    expect(await one.sync()).toBe('idle');
    expect(new Set(world.done).size).toBe(40);
    expect(one.status.counts.reconciled).toBe(40);
  });
});
