import type { ReconcilerOptions } from '@syncscope/protocol/offline';
import type { Random } from '@syncscope/protocol/ports';
import type { ReplicaId, Value } from '@syncscope/protocol/state';
import type { SessionDefinition, StateView } from '@syncscope/protocol/sync';
import type { Tap } from '@syncscope/protocol/trace';

export interface Intent {
  readonly command: string;
  readonly args: Value;
  /** Of a command that makes a record: its collection. A device names the record `key` itself, by a temporary id. */
  readonly creates?: string;
}

/** How one bot plays. It sees what its own replica shows it, and nothing else. Times in milliseconds. */
export interface Mind {
  /** What to do now; nothing where it would rather wait. */
  think(view: StateView, now: number): Intent | undefined;
  /** How long until the next thought. */
  pause(): number;
  /** Something changed: how soon it wants to think because of that, where it does. */
  startle(view: StateView, now: number): number | undefined;
  /** What it tried was refused. */
  refused(intent: Intent, reason: string, now: number): void;
}

/** What the authority does of its own accord. */
export interface Caretaker {
  /** The mutations that are due; called about once a second. Times in milliseconds. */
  due(view: StateView, connected: ReadonlySet<string>, now: number): readonly Intent[];
}

/** A session that the sample server can run. */
export interface Scenario {
  readonly name: string;
  readonly title: string;
  /** The rules of the authority. */
  readonly definition: SessionDefinition;
  /** The rules by which clients predict. */
  readonly asPlayed: SessionDefinition;
  /** The rules of an authority that shows each client only what concerns it; absent where there is no such. */
  readonly byInterest?: SessionDefinition;
  mind(self: ReplicaId, random: Random): Mind;
  /** A bot that also signs the guest book, in which what it says is secret; absent where there is none. */
  guestMind?(self: ReplicaId, random: Random): Mind;
  caretaker(random: Random): Caretaker;
  /** How devices that were offline are reconciled, on the state that `view` answers: whose write wins, what refers to what. */
  readonly reconciling?: (view: () => StateView) => Omit<ReconcilerOptions, 'authority' | 'tap'>;
  /** Bots from this number on are devices that work offline now and then; none where absent. */
  readonly devicesFrom?: number;
  /** What else is to be told of what the session's parts report. */
  readonly tap?: (tap: Tap) => Tap;
}
