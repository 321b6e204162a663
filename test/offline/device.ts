import { SqliteStorage } from '@syncscope/protocol/node';
import { OfflineClient } from '@syncscope/protocol/offline';
import { seededRandom } from '@syncscope/protocol/ports';
import { replicaId } from '@syncscope/protocol/state';
import { notesReferences, notesSession } from '../../protocol-lib/src/offline/notes.test-helper.ts';
import type { FromDevice, ToDevice } from './messages.ts';

/**
 * `node device.ts <file> <life> drain|work`: a device with its queue in a SQLite file. `work` makes mutations and reconciles for
 * ever, until somebody kills it; `drain` reconciles what is left and ends.
 */
const [, , path = '', life = '', mode = ''] = process.argv;

const waiting = new Map<number, (answer: unknown) => void>();
process.on('message', ({ id, answer }: ToDevice) => waiting.get(id)?.(answer));

function tell(message: FromDevice): void {
  process.send!(message);
}

let requests = 0;
const device = await OfflineClient.open({
  definition: notesSession,
  references: notesReferences,
  storage: new SqliteStorage(path),
  session: 'notes',
  device: replicaId('phone'),
  clock: { now: () => Date.now() },
  random: seededRandom(Number(life)),
  owner: `life-${life}`,
  // One that was killed a moment ago still holds the lease; nothing of it is left.
  sendRight: { acquire: async () => true, release: async () => undefined },
  connection: (request) =>
    new Promise((resolve) => {
      const id = ++requests;
      waiting.set(id, resolve);
      tell({ kind: 'request', id, request });
    }),
});

if (mode === 'drain') {
  await device.sync({ pull: true });
  tell({ kind: 'drained', counts: device.status.counts });
  await device.close();
  process.disconnect();
} else {
  await device.sync({ pull: true });
  for (let step = 0; ; step++) {
    const what = `${life}.${step}`;
    tell({ kind: 'making', what });
    await device.mutate({ command: 'log', args: { what } });
    tell({ kind: 'made', what });
    // Not awaited every time: mutations are made while a request is under way, too.
    if (step % 3 === 0) void device.sync();
    if (step % 7 === 0) await device.sync();
  }
}
