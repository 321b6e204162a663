import { isSyncError } from '../errors/index.ts';
import { type ReconcileAnswer, type ReconcileRequest, reconcileRequestSchema } from '../messages/index.ts';
import { seededRandom } from '../ports/index.ts';
import { type RecordKey, recordKey, replicaId, type SyncRecord, type Value } from '../state/index.ts';
import { type SessionDefinition, SyncManager, type SyncManagerOptions } from '../sync/index.ts';
import { OfflineClient, type OfflineClientOptions, type ReconcileConnection } from './client.ts';
import { MemoryStorage } from './memory-storage.ts';
import { Reconciler, type ReconcilerOptions } from './reconciler.ts';
import type { References } from './references.ts';

type Fields = Readonly<Record<string, Value>>;

function fieldsOf(args: Value): Fields {
  return typeof args === 'object' && args !== null && !Array.isArray(args) ? (args as Fields) : {};
}

/** Notes that may stand under one another, and a list of everything that was done, in order: the oracle of exactly once. */
export const notesSession: SessionDefinition = {
  name: 'notes',
  *initialRecords() {
    yield [recordKey('log/all'), { done: [] }];
    yield [recordKey('note/first'), { text: 'hello', color: 'white', parent: null }];
  },
  commands: {
    /** `{key, text, parent?}` */
    create(state, args, writer) {
      const { key, text, parent = null } = fieldsOf(args);
      if (state.get(recordKey(String(key)))) return { accepted: false, reason: `${key} is there already` };
      if (parent !== null && !state.get(recordKey(String(parent))))
        return { accepted: false, reason: `there is no ${parent}` };
      return { accepted: true, events: [event('CREATED', writer, { key: key!, text: text!, parent })] };
    },
    /** `{key, text?, color?}` */
    edit(state, args, writer) {
      const { key, ...fields } = fieldsOf(args);
      if (!state.get(recordKey(String(key)))) return { accepted: false, reason: `there is no ${key}` };
      return { accepted: true, events: [event('EDITED', writer, { key: key!, fields })] };
    },
    /** `{key}` */
    remove(state, args, writer) {
      const { key } = fieldsOf(args);
      if (!state.get(recordKey(String(key)))) return { accepted: false, reason: `there is no ${key}` };
      return { accepted: true, events: [event('REMOVED', writer, { key: key! })] };
    },
    /** `{what}`: adds to the list of what was done. */
    log: (_state, args, writer) => ({ accepted: true, events: [event('LOGGED', writer, args)] }),
    /** `{records: [{key, record}]}` as a policy has merged them. */
    write: (_state, args, writer) => ({ accepted: true, events: [event('WRITTEN', writer, args)] }),
  },
  reduce(state, { type, data = null }) {
    const fields = fieldsOf(data);
    const key = recordKey(String(fields.key ?? 'note/none'));
    switch (type) {
      case 'CREATED':
        return [{ op: 'put', key, record: { text: fields.text!, color: 'white', parent: fields.parent! } }];
      case 'EDITED':
        return [{ op: 'patch', key, fields: fields.fields as SyncRecord, removed: [] }];
      case 'REMOVED':
        return [{ op: 'remove', key }];
      case 'LOGGED': {
        const log = recordKey('log/all');
        const { done: before } = state.get(log) as { readonly done: readonly Value[] };
        const done = [...before, fields.what!];
        return [{ op: 'patch', key: log, fields: { done }, removed: [] }];
      }
      case 'WRITTEN':
        return (fields.records as { key: string; record: SyncRecord | null }[]).map((one) => {
          const target = recordKey(one.key);
          return one.record ? { op: 'put', key: target, record: one.record } : { op: 'remove', key: target };
        });
      default:
        throw new Error(`no such event: ${type}`);
    }
  },
};

function event(type: string, player: string, data: Value) {
  return { type, player, detail: type.toLowerCase(), data };
}

export const notesReferences: References = {
  commands: { create: ['key', 'parent'], edit: ['key'], remove: ['key'] },
  records: { note: ['parent'] },
};

const MILLISECOND = 1_000_000;

/** An authority of notes and the devices that go to it. Everything between them can be made to fail. */
export class NotesWorld {
  readonly manager: SyncManager;
  reconciler: Reconciler;
  /** Milliseconds since 1970. */
  now = 1_000_000;
  isOnline = true;
  /** Called with each request that arrives; what it throws is what the device sees, before or after the authority has settled it. */
  onRequest: (request: ReconcileRequest) => void = () => undefined;
  onAnswer: (answer: ReconcileAnswer) => void = () => undefined;
  readonly requests: ReconcileRequest[] = [];
  readonly #options: Partial<ReconcilerOptions>;

  constructor(options: Partial<ReconcilerOptions> = {}, manager: Partial<SyncManagerOptions> = {}) {
    this.#options = options;
    this.manager = new SyncManager({
      definition: notesSession,
      replica: replicaId('server'),
      session: 'notes',
      random: seededRandom(1),
      now: 0,
      ...manager,
    });
    this.reconciler = this.newReconciler();
  }

  /** A reconciler that remembers nothing, as after a restart of the authority. */
  newReconciler(): Reconciler {
    return new Reconciler({ authority: this.manager.posted, references: notesReferences, ...this.#options });
  }

  readonly connection: ReconcileConnection = async (sent) => {
    if (!this.isOnline) throw new Error('offline');
    const request = reconcileRequestSchema.parse(structuredClone(sent), 'request');
    this.requests.push(request);
    this.onRequest(request);
    const answer = this.reconciler.handle(request, this.now * MILLISECOND);
    if (!answer) throw new Error('not durable yet');
    this.onAnswer(answer);
    return structuredClone(answer);
  };

  device(name: string, options: Partial<OfflineClientOptions> = {}): Promise<OfflineClient> {
    return OfflineClient.open({
      definition: notesSession,
      references: notesReferences,
      storage: new MemoryStorage(),
      session: 'notes',
      device: replicaId(name),
      connection: this.connection,
      clock: { now: () => this.now },
      random: seededRandom(7),
      owner: 'tab-1',
      ...options,
    });
  }

  /** A mutation of somebody else's. */
  elsewhere(command: string, args: Value): void {
    this.manager.mutate(command, args, this.now * MILLISECOND);
  }

  record(key: string): SyncRecord | undefined {
    return this.manager.root.get(recordKey(key));
  }

  /** What was logged, in the order in which it took effect. */
  get done(): readonly Value[] {
    return this.record('log/all')?.done as Value[];
  }
}

export async function codeOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
  } catch (error) {
    if (isSyncError(error)) return error.code;
    throw error;
  }
  return 'nothing was thrown';
}

/** The key of the one record that a mutation made. */
export function madeBy(result: Awaited<ReturnType<OfflineClient['mutate']>>): RecordKey {
  if (!('entry' in result)) throw new Error(result.rejected);
  return result.entry.mutation.creates[0]!;
}
