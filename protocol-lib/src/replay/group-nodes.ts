import { SyncError } from '../errors/index.ts';
import { StateRoot } from '../merkle/index.ts';
import {
  ConsensusPeer,
  type ConsensusRules,
  type ConsensusSettings,
  type Intent,
  type PeerFrame,
  PeerReplica,
  type PeerSettings,
} from '../peers/index.ts';
import type { Transport } from '../ports/index.ts';
import { array, boolean, finite, nullable, object, optional, type Schema, string } from '../schema/index.ts';
import {
  type Change,
  type RecordKey,
  type ReplicaId,
  replicaIdSchema,
  type SyncRecord,
  stateHashSchema,
  type Value,
  valueSchema,
} from '../state/index.ts';
import { argumentText } from './arguments.ts';
import type { GroupDefinition, GroupMerge, GroupNode, GroupPorts } from './group-machines.ts';
import type { Input, InputOf } from './inputs.ts';

/** The two kinds of peers that the library has, as nodes that can be run again, and how their drivers write down what they do to them. */

type Entries = Iterable<readonly [RecordKey, SyncRecord]>;

const settingsSchema: Schema<Readonly<Record<string, number | string>>> = {
  kind: 'settings',
  parse(value, path) {
    const whole = valueSchema.parse(value, path);
    const isRecord = typeof whole === 'object' && whole !== null && !Array.isArray(whole);
    const all = isRecord && !(whole instanceof Uint8Array) ? Object.entries(whole) : undefined;
    if (all?.every(([, one]) => typeof one === 'number' || typeof one === 'string')) {
      return whole as Readonly<Record<string, number | string>>;
    }
    throw unfit(`${path}: expected numbers and words by name`);
  },
};

function unfit(text: string, cause?: unknown): SyncError {
  return new SyncError('REPLAY_INPUT_UNFIT', text, { origin: 'capture', cause });
}

/** What a constructor refuses of a recorded setting is the recording's fault. */
function fromRecording<T>(make: () => T): T {
  try {
    return make();
  } catch (error) {
    if (error instanceof RangeError || error instanceof TypeError) throw unfit(error.message, error);
    throw error;
  }
}

// — members of a group that agrees on each version —

const memberSchema = object({ settings: settingsSchema, links: array(replicaIdSchema, 10_000) });
/** What somebody wanted, which may be what nobody can have: the member that is asked for it must say so itself, as it did. */
const wantedChanges: Schema<readonly Change[]> = {
  kind: 'changes',
  parse(value, path) {
    const isChange = (one: unknown): boolean => {
      if (typeof one !== 'object' || one === null) return false;
      const { op, key, record, fields, removed } = one as Partial<Record<string, unknown>>;
      if (typeof key !== 'string') return false;
      if (op === 'put') return typeof record === 'object' && record !== null;
      return op === 'remove' || (typeof fields === 'object' && fields !== null && Array.isArray(removed));
    };
    if (Array.isArray(value) && value.every(isChange)) return value as readonly Change[];
    throw unfit(`${path}: expected changes`);
  },
};
const anyArgs: Schema<Value> = { kind: 'arguments', parse: (value) => value as Value };
const proposeSchema = object({
  command: string(10_000),
  args: anyArgs,
  /** Null where the command makes them of the state. */
  changes: nullable(wantedChanges),
  base: optional(stateHashSchema),
  /** What the other members are told of the arguments. */
  told: optional(anyArgs),
});
const roomSchema = object({ reason: string(2_000) });

export interface ConsensusGroupOptions {
  /** The state before anything was decided. */
  readonly records: (members: readonly ReplicaId[]) => Entries;
  /** As the members have it. */
  readonly validate?: ConsensusRules['validate'];
  /** What a command makes of the state, for those whose changes are not plain. */
  readonly changes?: (command: string, args: Value) => Intent['changes'];
}

/** Members of consensus. */
export function consensusGroup(options: ConsensusGroupOptions): GroupDefinition {
  return { open: (ports, made) => new ConsensusNode(ports, made, options) };
}

/** What a driver writes down of a member that begins: its links are those that it has as soon as it has opened. */
export function memberMade(settings: Partial<ConsensusSettings>, links: readonly ReplicaId[]): string {
  return argumentText({ settings: { ...settings } as Value, links: [...links] });
}

/** A proposal as an input. `args` are what `changes` are made of where these are a function. */
export function proposeInput(replica: ReplicaId, now: number, intent: Intent, args: Value): InputOf<'act'> {
  const { command, changes, base, args: told } = intent;
  const plain = typeof changes === 'function' ? null : (changes as unknown as Value);
  const rest = { ...(base === undefined ? {} : { base }), ...(told === undefined ? {} : { told }) };
  const said = { command, args, changes: plain, ...rest };
  return { op: 'act', replica, now, action: 'propose', args: argumentText(said) };
}

/** From now on, a member has no room for this reason, or has room again where it is empty. */
export function roomInput(replica: ReplicaId, now: number, reason: string): Input {
  return { op: 'act', replica, now, action: 'room', args: argumentText({ reason }) };
}

class ConsensusNode implements GroupNode {
  readonly #options: ConsensusGroupOptions;
  #peer: ConsensusPeer | undefined;
  #noRoom = '';

  constructor(ports: GroupPorts, made: Value, options: ConsensusGroupOptions) {
    this.#options = options;
    const { replica, members, clock, random, tap, disk, contents } = ports;
    const { settings, links } = memberSchema.parse(made, 'made');
    const { validate, records } = options;
    const rules: ConsensusRules = { ...(validate ? { validate } : {}), admit: () => this.#noRoom || undefined };
    const known = { replica, members, clock, random, tap, settings: settings as Partial<ConsensusSettings>, ...rules };
    fromRecording(() => {
      ConsensusPeer.open(known, { disk, contents }, StateRoot.from(records(members)), (peer) => {
        if (peer instanceof SyncError) return;
        this.#peer = peer;
        for (const link of links) peer.attach(link, transportTo(link, ports));
      });
    });
  }

  receive(frame: Uint8Array, from: ReplicaId | undefined): void {
    this.#peer?.receiveFrame(frame, from);
  }

  tick(): void {
    this.#peer?.tick();
  }

  act(action: string, args: Value): void {
    if (action === 'room') this.#noRoom = roomSchema.parse(args, action).reason;
    else if (action === 'propose') this.#propose(args);
    else throw unfit(`${action} is nothing that is done to a member`);
  }

  corrupt(changes: readonly Change[]): void {
    this.#peer?.corrupt(changes);
  }

  end(reason: string): void {
    this.#peer?.close(reason);
  }

  #propose(value: Value): void {
    const { command, args, changes, base, told } = proposeSchema.parse(value, 'propose');
    const made = changes ?? this.#options.changes?.(command, args);
    if (!made) throw unfit(`nothing is known of what ${command} changes: the definition says it`);
    try {
      const rest = { ...(base === undefined ? {} : { base }), ...(told === undefined ? {} : { args: told }) };
      this.#peer?.propose({ command, changes: made, ...rest });
    } catch (error) {
      // A branch may find the queue full, or the disk broken, where the recording did not.
      if (!(error instanceof SyncError)) throw error;
    }
  }
}

function transportTo(to: ReplicaId, { send }: GroupPorts): Transport {
  return { send: (frame) => send(to, frame), close: () => {}, onFrame: () => {}, onClose: () => {} };
}

// — peers that write and merge —

const peerSchema = object({
  epoch: finite,
  role: string(200),
  settings: settingsSchema,
  maxDrift: optional(finite),
  /** Whether it has what the node before it had. */
  isRestored: boolean,
});
const intentSchema = object({ command: string(10_000), args: anyArgs, changes: wantedChanges });

/** Peers without consensus. */
export function peerGroup(options: GroupMerge): GroupDefinition {
  return {
    merge: options,
    open: (ports, made, before) => new PeerNode(ports, made, options, before instanceof PeerNode ? before : undefined),
  };
}

/** What a driver writes down of a peer that begins; `isRestored` where it has been there before and was saved. */
export function peerMade(made: {
  readonly epoch: number;
  readonly role: string;
  readonly settings: Partial<PeerSettings>;
  readonly isRestored: boolean;
}): string {
  return argumentText({ ...made, settings: { ...made.settings } as Value });
}

/** What somebody wants changed at a peer, as an input. */
export function carryOutInput(
  replica: ReplicaId,
  now: number,
  { command, args, changes }: { readonly command: string; readonly args: Value; readonly changes: readonly Change[] },
): Input {
  const said = { command, args, changes: changes as unknown as Value };
  return { op: 'act', replica, now, action: 'carry-out', args: argumentText(said) };
}

class PeerNode implements GroupNode {
  readonly #ports: GroupPorts;
  readonly #peer: PeerReplica;

  constructor(ports: GroupPorts, made: Value, { resolver, records }: GroupMerge, before: PeerNode | undefined) {
    this.#ports = ports;
    const { replica, session, members, tap } = ports;
    const { epoch, role, settings, maxDrift, isRestored } = peerSchema.parse(made, 'made');
    this.#peer = fromRecording(() => {
      return new PeerReplica({
        replica,
        session,
        members,
        resolver,
        records: records(members),
        epoch,
        role,
        settings: settings as Partial<PeerSettings>,
        tap,
        ...(maxDrift === undefined ? {} : { maxDrift }),
        ...(isRestored && before ? { saved: before.#peer.saved } : {}),
      });
    });
  }

  receive(frame: Uint8Array, from: ReplicaId | undefined): void {
    if (from === undefined) throw unfit('a frame of a peer comes over a link');
    this.#say(this.#peer.receive(from, frame, this.#ports.clock.now()));
  }

  tick(): void {
    this.#say(this.#peer.tick(this.#ports.clock.now()));
  }

  act(action: string, args: Value): void {
    if (action !== 'carry-out') throw unfit(`${action} is nothing that is done to a peer`);
    const made = this.#peer.carryOut(intentSchema.parse(args, action), this.#ports.clock.now());
    if ('frames' in made) this.#say(made.frames);
  }

  corrupt(changes: readonly Change[]): void {
    this.#peer.corruptCheckpoint(changes);
  }

  end(): void {}

  #say(frames: readonly PeerFrame[]): void {
    for (const { to, frame } of frames) this.#ports.send(to, frame);
  }
}
