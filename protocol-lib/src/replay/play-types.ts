import type { RecordKey, ReplicaId, Value, Version } from '../state/index.ts';
import type { ClientState, PredictResult } from '../sync/index.ts';
import type { MappedId, UnmappedId } from './play-ids.ts';

/** A recorded client as it is played: its state, and its connection. */
export interface PlayClient {
  readonly state: ClientState;
  /** Why its connection ended or could not be opened last; undefined where it has not. */
  readonly lost: string | undefined;
  /** Whether the server has all that was sent, as far as can be known; absent where that is so at once. */
  readonly hasArrived?: boolean;
  send(command: string, args: Value): PredictResult;
  /** Its connection ends without a word, and there is none until it comes back. */
  breakOff(): void;
  comeBack(): void;
  leave(): void;
}

/**
 * When a command is sent, once its client has seen what it had seen. `seen`: once what others sent before has
 * reached the server, and may be undecided yet; `recorded`: once all that others had
 * decided before is decided here, so that the authority can only decide in the recorded order.
 */
export const PLAY_ORDERS = ['seen', 'recorded'] as const;
export type PlayOrder = (typeof PLAY_ORDERS)[number];

export interface PlayOptions {
  /** Nanoseconds on the clock of `Playing.step`. */
  readonly now: number;
  /** Nanoseconds without anything new after which it is given up. */
  readonly patience: number;
  /** Nothing is done sooner than when it was recorded, at so many times its speed; as soon as everything was seen where absent. */
  readonly speed?: number | undefined;
  /** `seen` where absent. */
  readonly order?: PlayOrder | undefined;
  /** Connects a client under its recorded name. */
  readonly join: (replica: ReplicaId) => PlayClient;
}

/** A command that was on its way while another client's was: which was decided first is not known here. */
export interface AtOnce {
  readonly replica: ReplicaId;
  readonly counter: number;
  readonly command: string;
}

/** The first thing that a client found otherwise. */
export interface PlayDifference {
  readonly replica: ReplicaId;
  /** `beginning`: the state before anything was played; `answer`: how a mutation ended; `state`: values; `other`: a mutation that cannot be played did not come. */
  readonly what: 'beginning' | 'answer' | 'state' | 'other';
  /** `seq` of the record that says how it was. */
  readonly seq: number;
  readonly counter?: number;
  readonly command?: string;
  readonly version?: Version;
  readonly key?: RecordKey;
  readonly field?: string;
  readonly recorded: unknown;
  readonly live: unknown;
  /** Whether all that differs is whole numbers so large that they may be drawn or times: those are compared as they are. */
  readonly mayBeDrawn?: boolean;
  readonly sentence: string;
  /** Commands of several clients that were on their way at once; where they were decided in another order, the difference may come of that alone. */
  readonly atOnce?: readonly AtOnce[];
}

export interface PlayedClient {
  readonly replica: ReplicaId;
  readonly intents: number;
  readonly accepted: number;
  readonly refused: number;
  /** Root hashes that were compared. */
  readonly hashes: number;
  readonly difference?: PlayDifference;
}

export interface PlayResult {
  readonly status: 'equal' | 'differs';
  readonly order: PlayOrder;
  readonly intents: number;
  readonly hashes: number;
  /** The most commands that were on their way at once. */
  readonly mostAtOnce: number;
  /** Connections that broke then and were broken here. */
  readonly breaks: number;
  /** States that came of other mutations than in the recording, decided in another order; they were not compared. */
  readonly reordered: number;
  /** Commands in the recording of which it is not known how they ended; they were not played. */
  readonly undecided: number;
  /** Mutations that no client sent over a link, and those of them that came by themselves. */
  readonly others: { readonly recorded: number; readonly came: number };
  /** Names that the server made up. */
  readonly ids: { readonly mapped: readonly MappedId[]; readonly unmapped: readonly UnmappedId[] };
  readonly clients: readonly PlayedClient[];
  /** The first difference in the order of the recording. */
  readonly first?: PlayDifference;
}
