import { PROTOCOL_VERSION } from '../messages/index.ts';
import { milliseconds, type Random, seededRandom } from '../ports/index.ts';
import { type Change, type ReplicaId, replicaId, type Value } from '../state/index.ts';
import {
  ClientState,
  type LinkId,
  type Outgoing,
  perLink,
  type SessionDefinition,
  type StateView,
  SyncManager,
} from '../sync/index.ts';
import { TRACE_VERSION, type TraceHeader, TraceHub, type TraceRecord } from '../trace/index.ts';
import { encodeTraceRecord } from './record-codec.ts';

/**
 * Real managers and clients in one process on a virtual clock, over links with latency that keep the order of
 * frames, with everything they do recorded. The same options give the same records.
 */
export interface MemorySessionOptions {
  readonly definition: SessionDefinition;
  /** The rules by which clients predict; the same as the authority's where absent. */
  readonly asPlayed?: SessionDefinition;
  readonly scenario?: string;
  readonly seed?: number;
  readonly bots?: number;
  /** Virtual milliseconds. */
  readonly length: number;
  /** Milliseconds one way, on average; every frame varies around it. */
  readonly latency?: number;
  /** What a bot does when its time has come, and when that is, in milliseconds. */
  play(
    replica: ReplicaId,
    random: Random,
  ): {
    pause(): number;
    think(view: StateView, now: number): { readonly command: string; readonly args: Value } | undefined;
    refused?(intent: { readonly command: string; readonly args: Value }, reason: string, now: number): void;
  };
  readonly fault?: MemoryFault;
}

export interface MemoryFault {
  readonly kind: 'corrupt' | 'drop-delta' | 'flip' | 'repeat-delta';
  readonly target: string;
  /** Virtual milliseconds. */
  readonly at: number;
  /** What `corrupt` changes; the choice is its own. */
  choose?(view: StateView, random: Random): Change | undefined;
}

export interface MemoryRecording {
  readonly header: TraceHeader;
  readonly records: readonly TraceRecord[];
  readonly encoded: readonly Uint8Array[];
}

interface Party {
  readonly client: ClientState;
  readonly link: LinkId;
  readonly play: ReturnType<MemorySessionOptions['play']>;
  isCut: boolean;
}

export function recordMemorySession(options: MemorySessionOptions): MemoryRecording {
  return new Recorder(options).run();
}

class Recorder {
  readonly #options: MemorySessionOptions;
  readonly #random: Random;
  readonly #records: TraceRecord[] = [];
  readonly #queue: { readonly at: number; readonly order: number; run(): void }[] = [];
  readonly #manager: SyncManager;
  readonly #parties: Party[] = [];
  /** When the last frame of each direction arrives, so that none overtakes another. */
  readonly #lastArrival = new Map<string, number>();
  readonly #hub: TraceHub;
  #now = 0;
  #order = 0;
  #fault: MemoryFault | undefined;

  constructor(options: MemorySessionOptions) {
    this.#options = options;
    this.#random = seededRandom(options.seed ?? 1);
    this.#fault = options.fault;
    this.#hub = new TraceHub({ now: () => this.#now });
    this.#hub.listen((record) => this.#records.push(record));
    this.#manager = new SyncManager({
      definition: options.definition,
      replica: replicaId('server'),
      session: 'memory',
      random: seededRandom((options.seed ?? 1) + 1),
      now: 0,
      tap: this.#hub,
    });
  }

  run(): MemoryRecording {
    const { bots = 4, length } = this.#options;
    this.#manager.describe();
    for (let index = 1; index <= bots; index++) this.#at(index * 120, () => this.#join(index));
    const fault = this.#fault;
    if (fault?.kind === 'corrupt') this.#at(fault.at, () => this.#corrupt(fault));
    this.#every(20, () => {
      this.#deliver(this.#manager.tick(this.#now));
      for (const party of this.#parties) if (!party.isCut) this.#send(party, party.client.tick(this.#now));
    });
    const end = milliseconds(length);
    while (this.#queue.length > 0 && this.#queue[0]!.at <= end) {
      const next = this.#queue.shift()!;
      this.#now = next.at;
      next.run();
    }
    return {
      header: {
        sessionId: `memory-${this.#options.seed ?? 1}`,
        title: this.#options.scenario ?? this.#options.definition.name,
        scenario: this.#options.definition.name,
        traceVersion: TRACE_VERSION,
        protocolVersion: PROTOCOL_VERSION,
        startedAt: 1_767_225_600_000,
        authority: replicaId('server'),
        build: 'memory',
      },
      records: this.#records,
      encoded: this.#records.map(encodeTraceRecord),
    };
  }

  #join(index: number): void {
    const replica = replicaId(`bot-${index}`);
    const client = new ClientState({
      definition: this.#options.asPlayed ?? this.#options.definition,
      replica,
      session: 'memory',
      token: '',
      tap: this.#hub,
    });
    const play = this.#options.play(replica, seededRandom((this.#options.seed ?? 1) * 1_000 + index));
    const party: Party = { client, link: index, play, isCut: false };
    this.#parties.push(party);
    this.#manager.connect(party.link, this.#now);
    this.#send(party, client.open(this.#now));
    const act = (): void => {
      this.#act(party);
      this.#after(play.pause(), act);
    };
    this.#after(play.pause(), act);
  }

  #act(party: Party): void {
    const { client, play } = party;
    if (party.isCut || client.phase !== 'live' || client.version === 0) return;
    const now = this.#now / milliseconds(1);
    const intent = play.think(client.optimistic, now);
    if (!intent) return;
    const result = client.predict(intent.command, intent.args, this.#now);
    if ('rejected' in result) play.refused?.(intent, result.rejected, now);
    else this.#send(party, result.frames);
  }

  #corrupt(fault: MemoryFault): void {
    const party = this.#parties.find((one) => one.client.replica === fault.target);
    const change = party && fault.choose?.(party.client.committed, this.#random);
    if (!party || !change) return;
    this.#noteFault(fault, `changed ${change.key} behind the protocol's back`);
    party.client.corruptCommitted([change]);
  }

  #noteFault(fault: MemoryFault, detail: string): void {
    const target = replicaId(fault.target);
    this.#hub.emit(target, { kind: 'fault', fault: fault.kind, phase: 'struck', target, detail });
  }

  #send(party: Party, frames: readonly Uint8Array[]): void {
    for (const frame of frames) {
      this.#travel(`${party.link}>`, () => {
        if (!party.isCut) this.#deliver(this.#manager.receive(party.link, frame, this.#now));
      });
    }
  }

  #deliver(outgoing: readonly Outgoing[]): void {
    for (const one of perLink(outgoing)) {
      const party = this.#parties.find(({ link }) => link === one.link);
      if (!party || party.isCut) continue;
      if ('close' in one) {
        party.isCut = true;
        party.client.closed(one.close, this.#now);
        continue;
      }
      for (const frame of this.#fated(party, one.frame)) {
        this.#travel(`>${party.link}`, () => {
          if (!party.isCut) this.#send(party, party.client.receive(frame, this.#now));
        });
      }
    }
  }

  /** What becomes of a frame to a client: the fault strikes the next delta after its time. */
  #fated(party: Party, frame: Uint8Array): Uint8Array[] {
    const fault = this.#fault;
    const isHit =
      fault !== undefined &&
      fault.kind !== 'corrupt' &&
      party.client.replica === fault.target &&
      this.#now >= milliseconds(fault.at) &&
      // The number of DELTA_SYNC, as the first element of the frame's array.
      frame[1] === 8;
    if (!isHit) return [frame];
    this.#fault = undefined;
    this.#noteFault(fault, `struck a frame of ${frame.length} bytes`);
    switch (fault.kind) {
      case 'drop-delta':
        return [];
      case 'repeat-delta':
        return [frame, frame.slice()];
      default: {
        const flipped = frame.slice();
        flipped[flipped.length - 1]! ^= 1;
        return [flipped];
      }
    }
  }

  #travel(direction: string, arrive: () => void): void {
    const latency = (this.#options.latency ?? 30) * (0.6 + this.#random.next() * 0.8);
    const at = Math.max(this.#now + milliseconds(latency), (this.#lastArrival.get(direction) ?? 0) + 1);
    this.#lastArrival.set(direction, at);
    this.#enqueue(Math.round(at), arrive);
  }

  #every(interval: number, run: () => void): void {
    const again = (): void => {
      run();
      this.#after(interval, again);
    };
    this.#after(interval, again);
  }

  #after(delay: number, run: () => void): void {
    this.#enqueue(Math.round(this.#now + milliseconds(delay)), run);
  }

  #at(time: number, run: () => void): void {
    this.#enqueue(milliseconds(time), run);
  }

  #enqueue(at: number, run: () => void): void {
    const entry = { at, order: this.#order++, run };
    let low = 0;
    let high = this.#queue.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const there = this.#queue[middle]!;
      if (there.at < at || (there.at === at && there.order < entry.order)) low = middle + 1;
      else high = middle;
    }
    this.#queue.splice(low, 0, entry);
  }
}
