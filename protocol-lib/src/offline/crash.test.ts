import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { seededRandom } from '../ports/index.ts';
import { recordKey } from '../state/index.ts';
import type { OfflineClient } from './client.ts';
import { type MemoryRows, MemoryStorage, memoryRows } from './memory-storage.ts';
import { NotesWorld } from './notes.test-helper.ts';
import type { OfflineStorage, StorageContents, StorageWrite } from './storage.ts';

/** What a process dies of here. No part of the library knows it, so none can go on after it. */
class Crash extends Error {}

/** A storage whose process dies at a given write, just before it or just after; nothing runs afterwards. */
class CrashingStorage implements OfflineStorage {
  readonly durability = 'disk';
  readonly #inner: MemoryStorage;
  #writesLeft: number;
  readonly #isAfter: boolean;
  isDead = false;

  constructor(rows: MemoryRows, writes: number, isAfter: boolean) {
    this.#inner = new MemoryStorage(rows);
    this.#writesLeft = writes;
    this.#isAfter = isAfter;
  }

  async revision(): Promise<number> {
    this.#live();
    return this.#inner.revision();
  }

  async read(): Promise<StorageContents> {
    this.#live();
    return this.#inner.read();
  }

  async write(expected: number, writes: readonly StorageWrite[]): Promise<number> {
    this.#live();
    if (this.#writesLeft-- > 0) return this.#inner.write(expected, writes);
    if (this.#isAfter) await this.#inner.write(expected, writes);
    this.isDead = true;
    throw new Crash('the process died');
  }

  async close(): Promise<void> {
    this.isDead = true;
  }

  #live(): void {
    if (this.isDead) throw new Crash('the process is dead');
  }
}

type Action = 'log' | 'create' | 'child' | 'edit' | 'sync' | 'elsewhere' | 'forget';

interface Life {
  /** The write at which it ends, and on which side of it. */
  readonly writes: number;
  readonly isAfter: boolean;
  readonly actions: readonly Action[];
}

const life: fc.Arbitrary<Life> = fc.record({
  writes: fc.nat(12),
  isAfter: fc.boolean(),
  actions: fc.array(fc.constantFrom<Action>('log', 'create', 'child', 'edit', 'sync', 'sync', 'elsewhere', 'forget'), {
    maxLength: 12,
  }),
});

/** What the user knows: what was said to be stored, and what was under way when the process died. */
class Oracle {
  readonly known: string[] = [];
  readonly doubtful = new Set<string>();
  /** Of each note, by its text: the text of its parent. */
  readonly parents = new Map<string, string | null>();

  check(world: NotesWorld): void {
    const done = world.done.map(String).filter((what) => what !== 'elsewhere');
    expect(new Set(done).size).toBe(done.length);
    expect(done.filter((what) => !this.doubtful.has(what))).toEqual(this.known);
    const notes = new Map([...world.manager.root.entries('note/')].map(([key, record]) => [String(key), record]));
    const byText = new Map([...notes.values()].map((record) => [String(record.text).split(' ')[0]!, record]));
    expect(byText.size).toBe(notes.size);
    for (const [text, parent] of this.parents) {
      const note = byText.get(text);
      if (!note) expect(this.doubtful.has(text)).toBe(true);
      else
        expect(note.parent === null ? null : String(notes.get(String(note.parent))?.text).split(' ')[0]).toBe(parent);
    }
    for (const text of byText.keys()) expect(text === 'hello' || this.parents.has(text)).toBe(true);
  }
}

/** Lets every frame be lost on the way there or back, or come again later. */
function makeLossy(world: NotesWorld, seed: number): { heal(): void } {
  const random = seededRandom(seed);
  const old: Parameters<NotesWorld['reconciler']['handle']>[0][] = [];
  world.onRequest = (request) => {
    const draw = random.next();
    if (draw < 0.2) throw new Error('lost on the way there');
    old.push(request);
    const late = old[Math.floor(random.next() * old.length)];
    if (draw < 0.4 && late) {
      try {
        world.reconciler.handle(late, world.now * 1_000_000);
      } catch {
        // Nobody waits for the answer to what comes late.
      }
    }
  };
  world.onAnswer = () => {
    if (random.next() < 0.3) throw new Error('lost on the way back');
  };
  return {
    heal() {
      world.onRequest = () => undefined;
      world.onAnswer = () => undefined;
    },
  };
}

async function act(
  device: OfflineClient,
  world: NotesWorld,
  action: Action,
  name: string,
  oracle: Oracle,
): Promise<void> {
  const notes = [...device.local.entries('note/')].sort(([a], [b]) => (a < b ? -1 : 1));
  const [key, note] = notes.at(-1)!;
  const text = String(note.text).split(' ')[0]!;
  // Until it is said to be stored, it may be or not.
  oracle.doubtful.add(name);
  switch (action) {
    case 'log':
      await device.mutate({ command: 'log', args: { what: name } });
      oracle.known.push(name);
      break;
    case 'create':
    case 'child': {
      const parent = action === 'child' ? key : null;
      oracle.parents.set(name, parent && text);
      await device.mutate((keys) => ({ command: 'create', args: { key: keys.create('note'), text: name, parent } }));
      break;
    }
    case 'edit':
      await device.mutate({ command: 'edit', args: { key, text: `${text} ${name}` } });
      break;
    case 'sync':
      device.wake();
      await device.sync();
      return;
    case 'elsewhere':
      world.elsewhere('log', { what: 'elsewhere' });
      return;
    case 'forget':
      world.reconciler = world.newReconciler();
      return;
  }
  oracle.doubtful.delete(name);
}

describe('a device whose process dies', () => {
  it('neither loses nor doubles a mutation, at any write, over a link that loses and repeats', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(life, { maxLength: 8 }),
        fc.nat(),
        fc.constantFrom(1, 2, 100),
        async (lives, seed, size) => {
          const world = new NotesWorld();
          const rows = memoryRows();
          const oracle = new Oracle();
          const link = makeLossy(world, seed);
          const batch = { mutations: size, bytes: 1_000_000 };
          const ready = await world.device('phone', { storage: new MemoryStorage(rows) });
          link.heal();
          await ready.sync({ pull: true });
          const { heal } = makeLossy(world, seed);
          for (const [number, { writes, isAfter, actions }] of lives.entries()) {
            const storage = new CrashingStorage(rows, writes, isAfter);
            world.now += 60_000;
            try {
              const device = await world.device('phone', { storage, batch, owner: `life-${number}` });
              for (const [step, action] of actions.entries())
                await act(device, world, action, `${number}.${step}`, oracle);
            } catch (error) {
              if (!storage.isDead) throw error;
            }
          }
          heal();
          world.now += 60_000;
          const last = await world.device('phone', { storage: new MemoryStorage(rows), batch, owner: 'last' });
          expect(['done', 'idle']).toContain(await last.sync());
          await last.sync({ pull: true });
          oracle.check(world);
          expect(last.local.hash).toBe(world.manager.root.hash);
          expect(last.status.counts).toMatchObject({ pending: 0, sent: 0, conflicted: 0, rejected: 0 });
          expect(last.local.get(recordKey('note/first'))).toBeDefined();
        },
      ),
    );
  });
});
