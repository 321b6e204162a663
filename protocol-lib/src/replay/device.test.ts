import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { MemoryStorage, memoryRows, type OfflineClient } from '../offline/index.ts';
import { NotesWorld, notesSession } from '../offline/notes.test-helper.ts';
import { replicaId } from '../state/index.ts';
import type { SessionDefinition } from '../sync/index.ts';
import { TraceHub, type TraceRecord } from '../trace/index.ts';
import { stepsIn } from './captured.test-helper.ts';
import { journaledDevice, LiveJournal, type ReplayResult, reexecuteSteps } from './index.ts';

const NAMES = ['phone', 'tablet'] as const;
const ACTS = [
  ...['create', 'child', 'edit', 'edit', 'log', 'bad', 'sync', 'pull', 'pull', 'tunnel', 'elsewhere', 'attach'],
  ...['lost answer', 'dismiss', 'start over', 'restart', 'other tab', 'authority forgets'],
] as const;
type Act = readonly [act: (typeof ACTS)[number], device: (typeof NAMES)[number]];

const acts: fc.Arbitrary<Act[]> = fc.array(fc.tuple(fc.constantFrom(...ACTS), fc.constantFrom(...NAMES)), {
  maxLength: 40,
  size: 'max',
});

/** Devices at an authority of notes, and somebody who listens from some time on. */
class Scene {
  readonly records: TraceRecord[] = [];
  readonly #world: NotesWorld = new NotesWorld();
  readonly #hub = new TraceHub({ now: () => this.#world.now * 1_000_000 });
  readonly #journal = new LiveJournal(this.#hub, replicaId('server'));
  readonly #rows = new Map(NAMES.map((name) => [name, memoryRows()]));
  readonly #devices = new Map<string, OfflineClient>();
  #losesAnswer = false;

  static async open(): Promise<Scene> {
    const scene = new Scene();
    scene.#world.onAnswer = () => {
      if (!scene.#losesAnswer) return;
      scene.#losesAnswer = false;
      throw new Error('the answer was lost');
    };
    for (const name of NAMES) await scene.#start(name);
    return scene;
  }

  async #start(name: (typeof NAMES)[number]): Promise<void> {
    await this.#devices.get(name)?.close();
    const storage = new MemoryStorage(this.#rows.get(name));
    const journal = journaledDevice(this.#journal, replicaId(name));
    this.#devices.set(name, await this.#world.device(name, { storage, tap: this.#hub, journal }));
  }

  listen(): void {
    this.#hub.listen((record) => this.records.push(record));
    this.attach();
  }

  attach(): void {
    for (const device of this.#devices.values()) device.describe();
    this.#journal.flush();
  }

  end(): void {
    this.#journal.flush();
  }

  async happen([act, name]: Act): Promise<void> {
    const world = this.#world;
    const device = this.#devices.get(name);
    if (!device) return;
    world.now += 2_500;
    const own = [...device.local.entries()].map(([key]) => key).filter((key) => key.startsWith('note/'));
    const some = own[world.now % Math.max(1, own.length)] ?? 'note/none';
    switch (act) {
      case 'create':
        await device.mutate((keys) => ({ command: 'create', args: { key: keys.create('note'), text: `of ${name}` } }));
        return;
      case 'child':
        await device.mutate((keys) => ({
          command: 'create',
          args: { key: keys.create('note'), text: 'a child', parent: some },
        }));
        return;
      case 'edit':
        await device.mutate({ command: 'edit', args: { key: some, text: `${world.now}` } });
        return;
      case 'log':
        await device.mutate({ command: 'log', args: { what: world.now } });
        return;
      case 'bad':
        await device.mutate({ command: 'edit', args: { key: 'note/nowhere', text: 'no' } });
        return;
      case 'sync':
      case 'pull':
        device.wake();
        await device.sync({ pull: act === 'pull' });
        return;
      case 'tunnel':
        world.isOnline = !world.isOnline;
        return;
      case 'elsewhere':
        world.elsewhere('edit', { key: 'note/first', text: `by others ${world.now}` });
        return;
      case 'attach':
        this.attach();
        return;
      case 'lost answer':
        this.#losesAnswer = true;
        return;
      case 'dismiss':
        for (const { mutation } of device.entries) await device.dismiss(mutation.counter);
        return;
      case 'start over':
        device.startOver();
        return;
      case 'restart':
        await this.#start(name);
        return;
      case 'other tab': {
        const tab = await world.device(name, { storage: new MemoryStorage(this.#rows.get(name)), owner: 'tab-2' });
        await tab.mutate({ command: 'log', args: { what: 'in another tab' } });
        await device.refresh();
        return;
      }
      case 'authority forgets':
        world.reconciler = world.newReconciler();
        return;
    }
  }
}

async function recorded(before: readonly Act[], after: readonly Act[]): Promise<TraceRecord[]> {
  const scene = await Scene.open();
  for (const name of NAMES) await scene.happen(['pull', name]);
  for (const act of before) await scene.happen(act);
  scene.listen();
  for (const act of after) await scene.happen(act);
  scene.end();
  return scene.records;
}

function ran(records: readonly TraceRecord[], definition: SessionDefinition | undefined = notesSession): ReplayResult {
  return reexecuteSteps(stepsIn(records), { definition });
}

describe('a device that works offline', () => {
  test('is run again to every record, from whenever somebody attached, whatever happens to it', {
    timeout: 60_000,
  }, async () => {
    let compared = 0;
    await fc.assert(
      fc.asyncProperty(acts, acts, async (before, after) => {
        const result = ran(await recorded(before, after));
        expect(result.difference).toBeUndefined();
        expect(result).toMatchObject({ status: 'equal', leftOut: [], replicas: [...NAMES] });
        compared += result.records;
      }),
    );
    expect(compared).toBeGreaterThan(1_000);
  });

  test('of other rules is named with the record that comes out otherwise', async () => {
    const records = await recorded(
      [],
      [
        ['pull', 'phone'],
        ['edit', 'phone'],
        ['sync', 'phone'],
      ],
    );
    const loud: SessionDefinition = {
      ...notesSession,
      reduce: (state, event) =>
        notesSession
          .reduce(state, event)
          .map((one) => (one.op === 'patch' ? { ...one, fields: { text: 'LOUD' } } : one)),
    };
    const { status, difference } = ran(records, loud);
    expect(status).toBe('differs');
    expect(difference).toMatchObject({ replica: 'phone', kind: 'prediction', differs: 'state' });
    expect(difference?.sentence).toMatch(/the prediction of edit made other changes/);
  });

  test('is not run without the rules of the app, and that is said', async () => {
    const records = await recorded(
      [],
      [
        ['pull', 'phone'],
        ['edit', 'phone'],
      ],
    );
    const steps = stepsIn(records);
    const { status, leftOut } = reexecuteSteps(steps);
    expect(status).toBe('partial');
    expect(leftOut.map(({ replica, why }) => [replica, why])).toEqual([
      ['phone', 'needs-definition'],
      ['tablet', 'needs-definition'],
    ]);
    expect(leftOut[0]?.sentence).toMatch(/give the definition/);
  });
});
