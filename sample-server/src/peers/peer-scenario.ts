import type { Clock, Random } from '@syncscope/protocol/ports';
import type { Change, ReplicaId, Value } from '@syncscope/protocol/state';
import type { SessionDefinition, StateView } from '@syncscope/protocol/sync';
import type { Tap } from '@syncscope/protocol/trace';
import type { PeerStorage } from './storage.ts';

/** What one peer of a session gets from the world that it is in. */
export interface PeerPorts {
  readonly replica: ReplicaId;
  /** Everybody, this peer included, the same list at each. */
  readonly members: readonly ReplicaId[];
  readonly session: string;
  /** Of the whole session: what all members begin with comes from it. */
  readonly seed: number;
  /** Of this life of this peer. */
  readonly random: Random;
  /** This peer's own clock: nanoseconds, and wrong where a fault says so. */
  readonly clock: Clock;
  /** Goes on where the clock is set: what silence is measured by where that matters for ever. */
  readonly timer: Clock;
  /** This peer's own wall clock: milliseconds since 1970, as wrong as its clock. */
  readonly wallTime: () => number;
  readonly tap: Tap;
  /** What survives a crash. */
  readonly storage: PeerStorage;
  /** Hands a frame to the link to another member. Its receipt is never before this returns. */
  readonly send: (to: ReplicaId, frame: Uint8Array) => void;
  /** By how much all times of the scenario are shorter. */
  readonly compress: number;
  /** What another one held, as {@link PeerNode.standing} says it: this one goes on from there and tells nobody. */
  readonly standing?: Value | undefined;
}

/** One peer that runs: its state, what it says, and whoever plays there. Frames come in by `receive`, time by `tick`, a few times a second. */
export interface PeerNode {
  readonly replica: ReplicaId;
  /** The state that is compared with the others'. */
  readonly state: StateView;
  receive(from: ReplicaId, frame: Uint8Array): void;
  tick(): void;
  /** Tells the tap who this is and what it has. */
  describe(): void;
  /** Changes the peer's own copy behind the protocol's back. @throws SyncError where the change cannot be, and nothing has changed */
  corrupt(change: Change): void;
  /** For so many changes to come, what this peer makes of them is not what they say. Answers what that means here. */
  unsteady(events: number): string;
  /** All that it holds between two inputs beside the values in its storage, for another one to go on from, which writes the file anew; undefined while that cannot be said. */
  standing(): Value | undefined;
  /** Ends. Where `isCrash`, without a word to anybody. */
  stop(reason: string, isCrash: boolean): void;
}

/** A session of peers without an authority that the sample server can run. */
export interface PeerScenario {
  readonly name: string;
  readonly title: string;
  /** How many peers there are where nobody says. */
  readonly peers: number;
  readonly least: number;
  readonly most: number;
  /** By how much times are shorter where nobody says. */
  readonly compress: number;
  open(ports: PeerPorts): PeerNode;
  /** What a frame does to the state of who gets it, such as `hang-up`; nothing where it does nothing. For the faults that lose exactly that. */
  newsOf(frame: Uint8Array): string | undefined;
  /** A value worth corrupting, where none is named: this field of the keys that begin so. */
  readonly shown: { readonly prefix: string; readonly field: string };
  /** As of a `SessionDefinition`: fields marked as secret in them are left out of recordings. */
  readonly recordSchemas?: SessionDefinition['recordSchemas'];
}
