import { CallState } from '@syncscope/protocol/crdt';
import { FrameDecoder, FrameEncoder } from '@syncscope/protocol/messages';
import { CrdtReplica } from '@syncscope/protocol/peers';
import { milliseconds } from '@syncscope/protocol/ports';
import { Heartbeats } from '@syncscope/protocol/presence';
import { replicaId } from '@syncscope/protocol/state';

/** Two participants of a call, one of whom never hears that the other has hung up. Answers what the page shows. */
export function example(): string[] {
  const [ann, ben] = ['ann', 'ben'].map((name) => {
    const replica = replicaId(name);
    const call = new CrdtReplica({
      replica,
      crdt: 'call',
      state: new CallState('call/1'),
      writersOf: (key) => (key.includes('@') ? [] : [replicaId(key.slice('call/1/'.length))]),
    });
    const encoder = new FrameEncoder(replica);
    encoder.names.seal(); // Each frame can be read alone, whichever of the others is lost.
    return {
      replica,
      call,
      encoder,
      beats: new Heartbeats({ replica, state: call, incarnation: 1, device: 'laptop' }),
    };
  }) as [Participant, Participant];
  const told: string[] = [];
  let now = 0;

  function send(from: Participant, to: Participant, outgoing: ReturnType<Heartbeats['connect']>): void {
    for (const { body } of outgoing) {
      for (const { frame } of from.encoder.encode(body)) {
        const message = new FrameDecoder().decode(frame) as Parameters<Heartbeats['receive']>[1];
        if (message.type !== 'PRESENCE') told.push(`${from.replica} ${describe(message)}`);
        send(to, from, to.beats.receive(from.replica, message, now));
      }
    }
  }

  function run(until: number): void {
    for (; now < milliseconds(until); now += milliseconds(1_000)) {
      for (const [own, other] of [
        [ann, ben],
        [ben, ann],
      ] as const) {
        const { outgoing, transitions } = own.beats.tick(now);
        for (const { presence, change } of transitions)
          told.push(`${own.replica} takes ${presence.replica} for ${change}`);
        if (outgoing.length > 0 && !isCut) send(own, other, outgoing);
      }
    }
  }

  let isCut = false;
  send(ann, ben, ann.beats.connect(ben.replica, now));
  send(ben, ann, ben.beats.connect(ann.replica, now));
  for (const one of [ann, ben]) {
    const joined = one.call.operate('join', (call) => call.join(one.replica))!;
    (one === ann ? ben : ann).call.receive(joined);
  }
  ann.call.operate('leave', (call) => call.leave(ann.replica)); // And this is lost.
  run(12_000);
  for (const { beats, replica } of [ann, ben]) {
    const [report] = beats.reports;
    const [difference] = report!.differences;
    const writers = [...difference!.ownWriters, ...difference!.theirWriters];
    told.push(
      `${replica}: ${report!.outcome}; ${difference!.key} differed, written by ${[...new Set(writers)].join(' ')}`,
    );
  }
  isCut = true;
  run(180_000);
  return told;
}

interface Participant {
  readonly replica: ReturnType<typeof replicaId>;
  readonly call: CrdtReplica<CallState>;
  readonly encoder: FrameEncoder;
  readonly beats: Heartbeats;
}

function describe(message: Parameters<Heartbeats['receive']>[1]): string {
  return message.type === 'RECONCILE' ? `says ${message.step}` : `sends ${message.type}`;
}
