import { describe, expect, it } from 'vitest';
import { recordKey } from '../state/index.ts';
import { ClientState } from '../sync/index.ts';
import { TraceHub, type TraceRecord } from '../trace/index.ts';
import { MemoryStorage, memoryRows } from './memory-storage.ts';
import { codeOf, madeBy, NotesWorld, notesSession } from './notes.test-helper.ts';

describe('a device without a connection', () => {
  it('starts with data, works, and is brought together with what others did meanwhile', async () => {
    const world = new NotesWorld();
    const rows = memoryRows();
    const first = await world.device('phone', { storage: new MemoryStorage(rows) });
    expect(await first.sync({ pull: true })).toBe('done');
    await first.close();

    world.isOnline = false;
    const device = await world.device('phone', { storage: new MemoryStorage(rows) });
    expect(device.committed.get(recordKey('note/first'))).toMatchObject({ text: 'hello' });
    await device.mutate({ command: 'edit', args: { key: 'note/first', text: 'mine' } });
    expect(device.local.get(recordKey('note/first'))).toMatchObject({ text: 'mine' });
    expect(await device.sync()).toBe('failed');
    expect(device.problem?.code).toBe('AUTHORITY_UNREACHABLE');
    world.elsewhere('edit', { key: 'note/first', color: 'red' });

    world.isOnline = true;
    device.wake();
    expect(await device.sync()).toBe('done');
    expect(device.local.get(recordKey('note/first'))).toMatchObject({ text: 'mine', color: 'red' });
    expect(device.local.hash).toBe(world.manager.root.hash);
    expect(device.entry(1)).toMatchObject({ state: 'reconciled', sends: 2, conflicts: [] });
  });

  it('maps temporary ids through a chain of mutations, whether they go together or one by one', async () => {
    for (const mutations of [1, 2, 100]) {
      const world = new NotesWorld();
      const device = await world.device('phone', { batch: { mutations, bytes: 100_000 } });
      await device.sync({ pull: true });
      const parent = madeBy(
        await device.mutate((keys) => ({ command: 'create', args: { key: keys.create('note'), text: 'A' } })),
      );
      const child = madeBy(
        await device.mutate((keys) => ({
          command: 'create',
          args: { key: keys.create('note'), text: 'B ~phone-1', parent },
        })),
      );
      await device.mutate({ command: 'edit', args: { key: child, text: 'B, edited, not ~phone-1' } });
      expect(device.local.get(child)).toMatchObject({ parent });
      expect([parent, child]).toEqual(['note/~phone-1', 'note/~phone-2']);

      expect(await device.sync()).toBe('done');
      expect(world.record('note/phone-2')).toMatchObject({ parent: 'note/phone-1', text: 'B, edited, not ~phone-1' });
      expect([device.resolve(parent), device.resolve(child)]).toEqual(['note/phone-1', 'note/phone-2']);
      expect(device.local.hash).toBe(world.manager.root.hash);
      expect(device.local.get(parent)).toBeUndefined();
      // Whoever still holds the temporary key may use it.
      await device.mutate({ command: 'edit', args: { key: child, color: 'blue' } });
      await device.sync();
      expect(world.record('note/phone-2')).toMatchObject({ color: 'blue' });
    }
  });

  it('rewrites what waits when the answer comes, and shows the same as before under the new ids', async () => {
    const world = new NotesWorld();
    const device = await world.device('phone', { batch: { mutations: 1, bytes: 100_000 } });
    await device.sync({ pull: true });
    const parent = madeBy(
      await device.mutate((keys) => ({ command: 'create', args: { key: keys.create('note'), text: 'A' } })),
    );
    await device.mutate((keys) => ({ command: 'create', args: { key: keys.create('note'), text: 'B', parent } }));
    let arrived = 0;
    world.onRequest = () => {
      if (++arrived > 1) throw new Error('cut');
    };
    expect(await device.sync()).toBe('failed');
    expect(device.entry(2)?.mutation).toMatchObject({ args: { parent: 'note/phone-1' } });
    expect(device.entry(2)).toMatchObject({ rebases: 1, alterations: 0 });
    expect(device.local.get(recordKey('note/~phone-2'))).toMatchObject({ parent: 'note/phone-1' });
  });

  it('refuses a temporary id that stands for nothing', async () => {
    const world = new NotesWorld();
    const device = await world.device('phone');
    await device.sync({ pull: true });
    const edit = (key: string) => device.mutate({ command: 'edit', args: { key, text: 'x' } });
    expect(await codeOf(edit('note/~phone-1'))).toBe('TEMP_ID_UNKNOWN');
    expect(await codeOf(edit('note/~other-1'))).toBe('TEMP_ID_UNKNOWN');
    world.elsewhere('remove', { key: 'note/first' });
    const made = madeBy(
      await device.mutate((keys) => ({
        command: 'create',
        args: { key: keys.create('note'), text: 'x', parent: 'note/first' },
      })),
    );
    await edit(made);
    expect(await device.sync()).toBe('done');
    expect(device.entries.map(({ state, code }) => [state, code])).toEqual([
      ['rejected', 'refused'],
      ['rejected', 'temp-unmapped'],
    ]);
    expect(await codeOf(edit(made))).toBe('TEMP_ID_UNMAPPED');
    expect(() => device.resolve(made)).toThrow(/was refused/);
  });

  it('carries a retry out once, also when the authority has forgotten the request', async () => {
    const world = new NotesWorld();
    const device = await world.device('phone');
    await device.sync({ pull: true });
    await device.mutate((keys) => ({ command: 'create', args: { key: keys.create('note'), text: 'A' } }));
    await device.mutate({ command: 'log', args: { what: 'once' } });
    world.onAnswer = () => {
      throw new Error('cut');
    };
    for (let tries = 0; tries < 3; tries++) {
      device.wake();
      expect(await device.sync()).toBe('failed');
      world.reconciler = world.newReconciler();
    }
    world.onAnswer = () => undefined;
    device.wake();
    expect(await device.sync()).toBe('done');
    expect(world.done).toEqual(['once']);
    expect(device.resolve('note/~phone-1')).toBe('note/phone-1');
    expect(device.receipts.map(({ outcome, sends }) => [outcome.state, sends])).toEqual([
      ['accepted', 4],
      ['accepted', 4],
    ]);
  });

  it('tells two devices of one name apart', async () => {
    const world = new NotesWorld();
    const [one, other] = [await world.device('phone'), await world.device('phone')];
    for (const device of [one, other]) await device.sync({ pull: true });
    await one.mutate({ command: 'log', args: { what: 'one' } });
    await other.mutate({ command: 'log', args: { what: 'other' } });
    await one.sync();
    await other.sync();
    expect(world.done).toEqual(['one']);
    expect(other.entry(1)).toMatchObject({ state: 'rejected', code: 'key-reused' });
    expect(other.entry(1)?.reason).toMatch(/mutation 1 of phone/);
  });

  it('says when the authority has lost versions, and goes on from a snapshot when told to', async () => {
    const world = new NotesWorld();
    const device = await world.device('phone');
    for (const what of ['a', 'b', 'c']) world.elsewhere('log', { what });
    await device.sync({ pull: true });
    await device.mutate({ command: 'log', args: { what: 'before' } });
    await device.sync();
    await device.mutate({ command: 'log', args: { what: 'mine' } });

    const restored = new NotesWorld();
    world.reconciler = restored.reconciler;
    expect(await device.sync()).toBe('blocked');
    expect(device.problem?.code).toBe('CHECKPOINT_FROM_FUTURE');
    expect([await device.sync(), device.due]).toEqual(['blocked', undefined]);
    device.startOver();
    expect(await device.sync()).toBe('done');
    expect(restored.done).toEqual(['mine']);
    expect(device.local.hash).toBe(restored.manager.root.hash);
  });

  it('takes a bounded number of mutations and none that is too large', async () => {
    const world = new NotesWorld();
    const device = await world.device('phone', { limits: { maxUnsettled: 3, maxMutation: 10_000 } });
    await device.sync({ pull: true });
    const log = (what: string) => device.mutate({ command: 'log', args: { what } });
    expect(await codeOf(log('x'.repeat(10_000)))).toBe('OFFLINE_TOO_LARGE');
    for (const what of ['a', 'b', 'c']) await log(what);
    expect(await codeOf(log('d'))).toBe('OFFLINE_QUEUE_FULL');
    expect(device.status.counts.pending).toBe(3);
    await device.sync();
    await log('d');
    expect(device.status.counts).toMatchObject({ pending: 1, reconciled: 3 });
  });

  it('refuses values that cannot be kept', async () => {
    const device = await new NotesWorld().device('phone');
    const foul = JSON.parse('{"__proto__": {"polluted": true}, "what": "x"}');
    for (const args of [foul, { what: '\ud800' }, { what: undefined as unknown as null }]) {
      expect(await device.mutate({ command: 'log', args })).toHaveProperty('rejected');
    }
    expect(device.entries).toEqual([]);
  });

  it('shows how long the oldest waits, tells of changes, and lets go of what was seen', async () => {
    const world = new NotesWorld();
    const device = await world.device('phone');
    await device.sync({ pull: true });
    let told = 0;
    const end = device.subscribe(() => told++);
    await device.mutate({ command: 'log', args: { what: 'a' } });
    world.now += 5_000;
    await device.mutate({ command: 'log', args: { what: 'b' } });
    expect(device.status).toMatchObject({ oldestAge: 5_000, counts: { pending: 2 } });
    await device.dismiss(1);
    expect(device.entries).toHaveLength(2);
    await device.sync();
    expect(device.status).toMatchObject({ oldestAge: 0, counts: { reconciled: 2 } });
    await device.dismiss(1);
    expect(device.entries.map(({ mutation }) => mutation.counter)).toEqual([2]);
    end();
    const before = told;
    await device.dismiss(2);
    expect(told).toBe(before);
    expect(before).toBeGreaterThan(4);
  });

  it('keeps what was meant as it was then, whatever the app does with its objects afterwards', async () => {
    const world = new NotesWorld();
    const device = await world.device('phone');
    await device.sync({ pull: true });
    const args = { what: 'as it was' };
    await device.mutate({ command: 'log', args });
    args.what = 'as it never was';
    await device.sync();
    expect(world.done).toEqual(['as it was']);
  });

  it('hands over to a live client, which counts on', async () => {
    const world = new NotesWorld();
    const device = await world.device('phone');
    await device.sync({ pull: true });
    await device.mutate({ command: 'log', args: { what: 'offline' } });
    expect(() => device.kept).toThrow(/wait/);
    await device.sync();
    const client = new ClientState({
      definition: notesSession,
      replica: device.device,
      session: 'notes',
      token: '',
      kept: device.kept,
    });
    expect(client.committed.hash).toBe(world.manager.root.hash);
    world.manager.connect(1, 0);
    const deliver = (frames: readonly Uint8Array[]): void => {
      for (const frame of frames) {
        for (const out of world.manager.receive(1, frame, 0)) if ('frame' in out) deliver(client.receive(out.frame, 0));
      }
    };
    deliver(client.open(0));
    const made = client.predict('log', { what: 'live' }, 0);
    if ('rejected' in made) throw new Error(made.rejected);
    expect(made.mutation.counter).toBe(2);
    deliver(made.frames);
    expect(world.done).toEqual(['offline', 'live']);
  });

  it('leaves a trace from which its state can be followed', async () => {
    const records: TraceRecord[] = [];
    const tap = new TraceHub({ now: () => 0 });
    tap.listen((record) => records.push(record));
    const world = new NotesWorld({ tap }, { tap });
    const device = await world.device('phone', { tap });
    await device.sync({ pull: true });
    await device.mutate({ command: 'edit', args: { key: 'note/first', text: 'mine' } });
    await device.mutate({ command: 'remove', args: { key: 'note/first' } });
    world.elsewhere('edit', { key: 'note/first', text: 'theirs' });
    await device.sync();
    const own = records.filter(({ replica }) => replica === 'phone').map(({ body }) => body.kind);
    expect(own).toEqual([
      ...['replica', 'snapshot', 'log', 'snapshot', 'prediction', 'prediction', 'log'],
      ...['apply', 'confirmation', 'confirmation'],
    ]);
    expect(records.filter(({ body }) => body.kind === 'conflict').map(({ body }) => body)).toMatchObject([
      { key: 'note/first', policy: 'last-write-wins', state: 'resolved', winner: 'phone' },
    ]);
    const causeOf = (kind: string) => {
      const found = records.filter(({ body, replica }) => body.kind === kind && replica === 'server').at(-1);
      return records.filter(({ seq }) => found?.cause.includes(seq)).map(({ body }) => body);
    };
    const request = { kind: 'log', text: 'reconciles mutations 1 to 2 of phone, made from version 1 on' };
    expect(causeOf('conflict')).toMatchObject([request, { kind: 'commit', mutation: { writer: 'phone', counter: 1 } }]);
    expect(causeOf('commit')).toMatchObject([request]);
  });
});
