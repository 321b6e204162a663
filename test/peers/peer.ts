import { setInterval } from 'node:timers';
import { SqliteStorage } from '@syncscope/protocol/node';
import { KeepFirst, type PeerFrame, PeerReplica, PeerStorage } from '@syncscope/protocol/peers';
import { recordKey, replicaId } from '@syncscope/protocol/state';
import { EPOCH, type FromPeer, KILLED, MEMBERS, resolver, SESSION, SETTINGS, type ToPeer } from './group.ts';

/** `node peer.ts <file> <life> drain|work`: a member that keeps itself in a SQLite file. `work` writes for ever, until somebody kills it. */
const [, , path = '', life = '', mode = ''] = process.argv;

function tell(message: FromPeer): void {
  process.send!(message);
}

const now = () => (Date.now() - EPOCH) * 1_000_000;
const storage = await PeerStorage.open(new SqliteStorage(path), { replica: KILLED, session: SESSION });
const peer = new PeerReplica({
  replica: KILLED,
  session: SESSION,
  members: MEMBERS,
  resolver,
  epoch: EPOCH,
  settings: SETTINGS,
  conflicts: storage.conflicts,
  ...(storage.saved && { saved: storage.saved }),
});
const keeper = new KeepFirst<FromPeer>(
  () => storage.keep(peer.saved),
  (messages) => messages.forEach(tell),
  (error) => {
    throw error;
  },
);

function send(frames: readonly PeerFrame[], ...more: readonly FromPeer[]): void {
  keeper.push([...frames.map(({ to, frame }): FromPeer => ({ kind: 'frame', to, frame })), ...more]);
}

process.on('message', ({ from, frame }: ToPeer) => send(peer.receive(replicaId(from), frame, now())));

let step = 0;
setInterval(() => {
  send(peer.tick(now()), { kind: 'root', root: peer.root.hash });
  if (mode === 'drain') return;
  const what = `${life}.${step++}`;
  const made = peer.write([{ op: 'put', key: recordKey(`note/${what}`), record: { what } }], now());
  if ('mutation' in made) send(made.frames, { kind: 'made', what });
}, 5);
