import { type ChildProcess, fork } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type PeerFrame, PeerReplica } from '@syncscope/protocol/peers';
import { seededRandom } from '@syncscope/protocol/ports';
import { type ReplicaId, recordKey, replicaId } from '@syncscope/protocol/state';
import { type TraceBody, TraceHub } from '@syncscope/protocol/trace';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { EPOCH, type FromPeer, KILLED, MEMBERS, resolver, SESSION, SETTINGS, type ToPeer } from './group.ts';

/** How often the member is killed; more in a soak. */
const KILLS = Math.max(12, Math.floor(Number(process.env.SYNCSCOPE_RUNS ?? 0) / 20));

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'peer-kill-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const now = () => (Date.now() - EPOCH) * 1_000_000;

/** The members that live on, and what they refused. */
class Others {
  readonly refused: Extract<TraceBody, { kind: 'refused' }>[] = [];
  readonly peers: ReadonlyMap<ReplicaId, PeerReplica>;
  child: ChildProcess | undefined;

  constructor() {
    const tap = new TraceHub({ now });
    tap.listen(({ body }) => {
      if (body.kind === 'refused') this.refused.push(body);
    });
    const others = MEMBERS.filter((one) => one !== KILLED);
    this.peers = new Map(
      others.map((replica) => {
        const options = { session: SESSION, members: MEMBERS, resolver, epoch: EPOCH, settings: SETTINGS };
        return [replica, new PeerReplica({ ...options, replica, tap })];
      }),
    );
  }

  carry(from: ReplicaId, frames: readonly PeerFrame[]): void {
    for (const { to, frame } of frames) {
      const peer = this.peers.get(to);
      if (peer) this.carry(to, peer.receive(from, frame, now()));
      else if (this.child?.connected) this.child.send({ kind: 'frame', from, frame } satisfies ToPeer, () => undefined);
    }
  }

  take(message: FromPeer): void {
    if (message.kind !== 'frame') return;
    const to = replicaId(message.to);
    this.carry(to, this.peers.get(to)!.receive(KILLED, message.frame, now()));
  }

  tick(): void {
    for (const [replica, peer] of this.peers) this.carry(replica, peer.tick(now()));
  }
}

it(`a member keeps every word that it gave through ${KILLS} kills of its process`, {
  timeout: 60_000 + KILLS * 6_000,
}, async () => {
  const path = join(folder, 'peer.db');
  const others = new Others();
  const random = seededRandom(20_261);
  const made: string[] = [];
  for (let life = 1; life <= KILLS; life++) {
    let left = 20 + Math.floor(random.next() * 200);
    await live(others, path, life, 'work', (message, child) => {
      if (message.kind === 'made') made.push(message.what);
      if (--left === 0) child.kill('SIGKILL');
    });
  }
  await live(others, path, KILLS + 1, 'drain', (message, child) => {
    others.tick();
    const roots = [...others.peers.values()].map(({ root }) => root.hash);
    if (message.kind === 'root' && roots.every((root) => root === message.root)) child.kill('SIGKILL');
  });
  const [bob] = others.peers.values();
  expect(others.refused).toEqual([]);
  expect(made.length).toBeGreaterThan(KILLS);
  for (const what of made) expect(bob!.root.get(recordKey(`note/${what}`)), what).toEqual({ what });
  expect(bob!.checkpoint.vector.get(KILLED)).toBeGreaterThan(0);
});

function live(
  others: Others,
  path: string,
  life: number,
  mode: 'work' | 'drain',
  take: (message: FromPeer, child: ChildProcess) => void,
): Promise<void> {
  const program = join(import.meta.dirname, 'peer.ts');
  const child = fork(program, [path, String(life), mode], { serialization: 'advanced' });
  others.child = child;
  return new Promise((resolve, reject) => {
    child.on('message', (message: FromPeer) => {
      others.take(message);
      others.tick();
      take(message, child);
    });
    child.on('error', reject);
    child.on('exit', (code, signal) => {
      if (signal === 'SIGKILL') resolve();
      else reject(new Error(`the member ended with ${code}`));
    });
  });
}
