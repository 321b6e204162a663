import type { LogDisk } from '@syncscope/protocol/events';
import { StateRoot } from '@syncscope/protocol/merkle';
import { ConsensusPeer, SynchronizedCounter } from '@syncscope/protocol/peers';
import { seededRandom, type Transport } from '@syncscope/protocol/ports';
import { type ReplicaId, replicaId } from '@syncscope/protocol/state';
import type { Bench, Figure } from './types.ts';

const MEMBERS = ['alice', 'bob', 'carol', 'dave', 'erin'].map(replicaId);
const DECISIONS = 5_000;
const WARM = 500;

/** Frames between members of one process, in order and without delay; each is encoded, checked and decoded as on a wire. */
class Network {
  readonly #listeners = new Map<string, (frame: Uint8Array) => void>();
  #frames: { readonly to: string; readonly frame: Uint8Array }[] = [];
  frames = 0;
  bytes = 0;

  transport(from: ReplicaId, to: ReplicaId): Transport {
    return {
      send: (frame) => {
        this.#frames.push({ to: `${to} ${from}`, frame });
        this.frames++;
        this.bytes += frame.length;
      },
      close: () => {},
      onFrame: (listener) => this.#listeners.set(`${from} ${to}`, listener),
      onClose: () => {},
    };
  }

  deliver(): void {
    while (this.#frames.length > 0) {
      const frames = this.#frames;
      this.#frames = [];
      for (const { to, frame } of frames) this.#listeners.get(to)!(frame);
    }
  }
}

/** A disk that takes everything at once: the figure is of the protocol, not of a medium. */
function memoryDisk(): LogDisk {
  let parts: Uint8Array[] = [];
  return {
    append: (bytes) => parts.push(bytes),
    flush: (done) => done(),
    replace: (bytes, done) => {
      parts = [bytes];
      done();
    },
  };
}

function group(network: Network): ConsensusPeer[] {
  const peers: ConsensusPeer[] = [];
  for (const [index, replica] of MEMBERS.entries()) {
    const clock = { now: () => 0 };
    const options = { replica, members: MEMBERS, clock, random: seededRandom(index) };
    const storage = { disk: memoryDisk(), contents: new Uint8Array(0) };
    ConsensusPeer.open(options, storage, StateRoot.empty, (peer) => {
      if (!(peer instanceof ConsensusPeer)) throw peer;
      for (const other of MEMBERS) if (other !== replica) peer.attach(other, network.transport(replica, other));
      peers.push(peer);
    });
  }
  return peers;
}

/** One member increments, waiting for each decision, as an application does that shows the count. */
async function run(): Promise<Figure[]> {
  const network = new Network();
  const peers = group(network);
  const counter = new SynchronizedCounter(peers[0]!, 'clicks');
  const decide = (count: number): void => {
    for (let index = 0; index < count; index++) {
      const receipt = counter.increment();
      network.deliver();
      if (receipt.outcome?.state !== 'committed') throw new Error(`an increment is ${receipt.outcome?.state}`);
    }
  };
  decide(WARM);
  const framesBefore = network.frames;
  const bytesBefore = network.bytes;
  const start = process.hrtime.bigint();
  decide(DECISIONS);
  const seconds = Number(process.hrtime.bigint() - start) / 1e9;
  const hash = peers[0]!.root.hash;
  if (peers.some(({ version, root }) => version !== DECISIONS + WARM || root.hash !== hash)) {
    throw new Error('the members do not agree');
  }
  const frames = (network.frames - framesBefore) / DECISIONS;
  const bytes = (network.bytes - bytesBefore) / DECISIONS;
  return [
    {
      name: 'consensus',
      value: DECISIONS / seconds,
      unit: 'decisions/s',
      peer: null,
      ratio: null,
      note: `5 members in one process, one after the other; ${frames.toFixed(0)} frames, ${bytes.toFixed(0)} B each; disks in memory`,
    },
  ];
}

export const benches: readonly Bench[] = [{ name: 'consensus', run }];
