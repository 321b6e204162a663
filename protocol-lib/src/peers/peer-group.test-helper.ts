import type { ConflictResolver } from '../conflict/index.ts';
import { type RecordKey, type ReplicaId, replicaId, type SyncRecord } from '../state/index.ts';
import { type TraceBody, TraceHub, type TraceRecord } from '../trace/index.ts';
import { type PeerFrame, PeerReplica, type PeerReplicaOptions } from './index.ts';

const MILLISECOND = 1_000_000;

/** Peers in one process, each linked with each, with cuts between any of them. What is sent over a cut is lost. */
export class PeerGroup {
  readonly hub: TraceHub;
  readonly trace: TraceRecord[] = [];
  readonly peers = new Map<string, PeerReplica>();
  readonly members: readonly ReplicaId[];
  now = 0;
  /** What becomes of a frame on its way; delivered once where this is not changed. */
  fate: (frame: PeerFrame, from: ReplicaId) => readonly Uint8Array[] = ({ frame }) => [frame];
  readonly #resolver: ConflictResolver;
  readonly #records: readonly (readonly [RecordKey, SyncRecord])[];
  #sides = new Map<string, number>();
  #waiting: { readonly to: ReplicaId; readonly from: ReplicaId; readonly frame: Uint8Array }[] = [];

  constructor(
    names: readonly string[],
    resolver: ConflictResolver,
    records: readonly (readonly [RecordKey, SyncRecord])[],
    options: Partial<PeerReplicaOptions> = {},
  ) {
    this.hub = new TraceHub({ now: () => this.now });
    this.hub.listen((record) => this.trace.push(record));
    this.members = names.map(replicaId);
    this.#resolver = resolver;
    this.#records = records;
    for (const name of names) this.start(name, options);
  }

  start(name: string, options: Partial<PeerReplicaOptions> = {}): PeerReplica {
    const peer = new PeerReplica({
      replica: replicaId(name),
      session: 'group',
      members: this.members,
      resolver: this.#resolver,
      records: this.#records,
      epoch: 1_700_000_000_000,
      tap: this.hub,
      ...options,
    });
    this.peers.set(name, peer);
    return peer;
  }

  get(name: string): PeerReplica {
    const peer = this.peers.get(name);
    if (!peer) throw new Error(`there is no peer ${name}`);
    return peer;
  }

  /** Cuts the group into these sides; who is named in none is on the first. */
  cut(...sides: readonly (readonly string[])[]): void {
    this.#sides = new Map(sides.flatMap((side, index) => side.map((name) => [name, index] as const)));
  }

  heal(): void {
    this.#sides = new Map();
  }

  /** Sends, and delivers all that follows at once. */
  send(from: string, frames: readonly PeerFrame[]): void {
    for (const frame of frames) {
      for (const one of this.fate(frame, replicaId(from)))
        this.#waiting.push({ to: frame.to, from: replicaId(from), frame: one });
    }
    for (let next = this.#waiting.shift(); next; next = this.#waiting.shift()) {
      const peer = this.peers.get(next.to);
      if (!peer || this.#sideOf(next.from) !== this.#sideOf(next.to)) continue;
      this.send(next.to, peer.receive(next.from, next.frame, this.now));
    }
  }

  /** Lets time go by in steps of 500 ms. */
  run(milliseconds: number): void {
    for (let passed = 0; passed < milliseconds; passed += 500) {
      this.now += 500 * MILLISECOND;
      for (const [name, peer] of this.peers) this.send(name, peer.tick(this.now));
    }
  }

  /** The bodies of one kind that a replica traced. */
  traced<K extends TraceBody['kind']>(kind: K, replica?: string): Extract<TraceBody, { kind: K }>[] {
    const found = this.trace.filter(
      (one) => one.body.kind === kind && (replica === undefined || one.replica === replica),
    );
    return found.map(({ body }) => body as Extract<TraceBody, { kind: K }>);
  }

  roots(): Set<string> {
    return new Set([...this.peers.values()].map(({ root }) => root.hash));
  }

  #sideOf(name: string): number {
    return this.#sides.get(name) ?? 0;
  }
}
