import { SqliteStorage } from '@syncscope/protocol/node';
import { OfflineClient, Reconciler, type References, reconcileRequestSchema } from '@syncscope/protocol/offline';
import { seededRandom } from '@syncscope/protocol/ports';
import { recordKey, replicaId } from '@syncscope/protocol/state';
import { type SessionDefinition, SyncManager } from '@syncscope/protocol/sync';

type Note = { readonly key: string; readonly text: string };

// The app: one definition, used by the authority and by every device.
const notes: SessionDefinition = {
  name: 'notes',
  *initialRecords() {},
  commands: {
    write: (_state, args, writer) => {
      const { key, text } = args as Note;
      return { accepted: true, events: [{ type: 'WRITTEN', player: writer, detail: text, data: { key, text } }] };
    },
  },
  reduce: (_state, { data }) => {
    const { key, text } = data as Note;
    return [{ op: 'put', key: recordKey(key), record: { text } }];
  },
};
const references: References = { commands: { write: ['key'] }, records: {} };

export async function example(path: string): Promise<string[]> {
  const told: string[] = [];

  // The authority. Over HTTP, `answer` is the body of POST /sync/reconcile; here it is called.
  const manager = new SyncManager({
    definition: notes,
    replica: replicaId('server'),
    session: 'notes',
    random: seededRandom(1),
    now: 0,
  });
  const reconciler = new Reconciler({ authority: manager.posted, references });
  const answer = (body: unknown) => reconciler.handle(reconcileRequestSchema.parse(body, 'request'), 0);

  // The device, which has no network yet.
  let isOnline = false;
  const device = await OfflineClient.open({
    definition: notes,
    references,
    storage: new SqliteStorage(path),
    session: 'notes',
    device: replicaId('phone'),
    owner: `process-${process.pid}`,
    clock: { now: () => Date.now() },
    random: seededRandom(2),
    connection: async (request) => {
      if (!isOnline) throw new Error('no network');
      return answer(request);
    },
  });
  let note = '';
  await device.mutate((keys) => {
    note = keys.create('note');
    return { command: 'write', args: { key: note, text: 'milk' } };
  });
  await device.mutate({ command: 'write', args: { key: note, text: 'milk, bread' } });
  told.push(`${note}: ${device.local.get(recordKey(note))?.text}, ${device.status.counts.pending} wait`);
  told.push(`${await device.sync()}: ${device.problem?.code}`);

  isOnline = true;
  device.wake();
  told.push(await device.sync());
  told.push(`${device.resolve(note)}: ${manager.root.get(recordKey(device.resolve(note)))?.text}`);
  await device.close();
  return told;
}
