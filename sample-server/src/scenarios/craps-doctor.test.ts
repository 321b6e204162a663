import { merkleQuerySchema } from '@syncscope/protocol/merkle';
import { FrameDecoder, FrameEncoder } from '@syncscope/protocol/messages';
import { randomOf } from '@syncscope/protocol/ports';
import { replicaId } from '@syncscope/protocol/state';
import { TraceHub } from '@syncscope/protocol/trace';
import { expect, test } from 'vitest';
import { PeerStorage } from '../peers/storage.ts';
import { CrapsPeer } from './craps-peer.ts';

const members = ['peer-1', 'peer-2', 'peer-3'].map(replicaId);
const [anna, ben] = [members[0]!, members[1]!];

/** A player whose answers to questions of another are kept. */
function player() {
  const clock = { now: () => 0 };
  const sent: Uint8Array[] = [];
  const peer = new CrapsPeer({
    replica: anna,
    members,
    session: 'craps',
    seed: 7,
    random: randomOf(7, 'player'),
    clock,
    timer: clock,
    wallTime: () => 1_700_000_000_000,
    tap: new TraceHub(clock),
    storage: new PeerStorage(),
    send: (_to, frame) => sent.push(frame),
    compress: 1,
  });
  const ask = (paths: readonly string[]) => {
    const encoder = new FrameEncoder(ben);
    encoder.names.seal();
    sent.length = 0;
    const query = { type: 'MERKLE_QUERY', ...merkleQuerySchema.parse({ paths }, 'query') } as const;
    peer.receive(ben, encoder.encode(query).at(-1)!.frame);
    const messages = sent.map((frame) => new FrameDecoder().decode(frame));
    return messages.flatMap((message) => (message.type === 'MERKLE_ANSWER' ? [message.nodes] : []));
  };
  return { peer, ask };
}

test('a question that names one subtree again and again, and the same in it, is answered once', () => {
  const { peer, ask } = player();
  const children = Array.from({ length: 16 }, (_, index) => index.toString(16));
  const inside = children.flatMap((child) => children.map((next) => child + next));
  const all = ask(children);
  expect(ask([...children, ...children, ...inside])).toEqual(all);
  const keys = all.flat().flatMap((node) => (node.kind === 'leaves' ? node.entries.map(({ key }) => key) : []));
  expect(keys.sort()).toEqual(Array.from(peer.consensus.root.entries(), ([key]) => key).sort());
});
