import { VersionVector } from '@syncscope/protocol/clock';
import type { MutationOutcome } from '@syncscope/protocol/conflict';
import { isSyncError } from '@syncscope/protocol/errors';
import type { StateRoot } from '@syncscope/protocol/merkle';
import { decodeMessage, noNames } from '@syncscope/protocol/messages';
import {
  type ConsensusPeer,
  type MergeReport,
  PartitionRecoveryManager,
  type PartitionState,
  type PartitionView,
  type ProposalOutcome,
  partitionStandingSchema,
  type StateProposal,
} from '@syncscope/protocol/peers';
import { milliseconds } from '@syncscope/protocol/ports';
import {
  array,
  boolean,
  fitText,
  type Infer,
  nullable,
  object,
  optional,
  string,
  uint,
} from '@syncscope/protocol/schema';
import {
  type Change,
  type ReplicaId,
  replicaIdSchema,
  type StateHash,
  stateHashSchema,
  type Value,
  type Version,
} from '@syncscope/protocol/state';
import { type MutationId, mutationIdSchema, vectorSchema } from '@syncscope/protocol/trace';
import type { PeerPorts } from '../peers/peer-scenario.ts';
import { changesOf, type Play, parsePlay, seatOf, shortage, textOf, vectorOf } from './craps-rules.ts';

/** Silence after which a player counts as not reached: eight heartbeats. */
const SILENCE_MS = 2_000;
/** Versions of which the state is remembered, to know what somebody who speaks of one has seen. */
const VERSIONS_KEPT = 1_000;
const OUTCOMES_KEPT = 2_000;
const STORED = 'tentative';

interface Tentative {
  readonly play: Play;
  readonly counter: number;
}

const versionsSchema = array(object({ replica: replicaIdSchema, version: uint }));
export const partingStandingSchema = object({
  versions: array(object({ version: uint, root: stateHashSchema, vector: vectorSchema })),
  heard: versionsSchema,
  wanted: versionsSchema,
  outcomes: array(object({ mutation: mutationIdSchema, rejected: nullable(string()) })),
  manager: partitionStandingSchema,
  /** Whether the oldest that is tentative is on its way to the group. Absent in earlier recordings: it is not. */
  isProposing: optional(boolean),
});
export type PartingStanding = Infer<typeof partingStandingSchema>;

/** What parting needs of the player whose it is. */
export interface PartingPorts {
  readonly consensus: () => ConsensusPeer;
  /** Proposes what was tentative; {@link CrapsParting.settled} is told the outcome. */
  readonly propose: (play: Play, counter: number) => void;
}

/**
 * What a player does while it is cut off from the majority. It plays on, and keeps that apart from what the group has decided: in the
 * trace these are predictions. Once the majority is back, and what it has done meanwhile is known, each is proposed to the group in its
 * turn, and becomes a decided change or is given back with the reason. Nothing is dropped: it is on the disk until one of these has happened,
 * and its number tells whether it has.
 */
export class CrapsParting {
  readonly #ports: PeerPorts;
  readonly #own: PartingPorts;
  readonly #manager: PartitionRecoveryManager;
  readonly #versions = new Map<Version, { readonly root: StateHash; readonly vector: VersionVector }>();
  /** The highest version that each other player said to have. */
  readonly #heard = new Map<ReplicaId, Version>();
  /** Where we stood when a player was heard again: it is equal once it has got that far. */
  readonly #wanted = new Map<ReplicaId, Version>();
  readonly #outcomes: MutationOutcome[] = [];
  #tentative: Tentative[];
  /** The highest number that was ever given to a change here. */
  #made: number;
  #view: StateRoot | undefined;
  /** What is on its way to the group. */
  #proposing: Tentative | undefined;

  constructor(ports: PeerPorts, own: PartingPorts) {
    this.#ports = ports;
    this.#own = own;
    const stored = (ports.storage.get(STORED) ?? { made: 0, plays: [] }) as { made: number; plays: string[] };
    this.#made = stored.made;
    this.#tentative = stored.plays.flatMap((text) => parsePlay(text) ?? []);
    this.#manager = new PartitionRecoveryManager(
      ports.replica,
      ports.members,
      { silence: milliseconds(SILENCE_MS) },
      this.#managed(),
    );
  }

  /** What it holds beside its storage, for another one to go on from; undefined while its state is not what was decided. */
  get held(): PartingStanding | undefined {
    if (this.#proposing && this.#proposing !== this.#tentative[0]) return undefined;
    if (this.#view && this.#view.hash !== this.#pending().root.hash) return undefined;
    return {
      versions: Array.from(this.#versions, ([version, { root, vector }]) => ({
        version,
        root,
        vector: vector.entries(),
      })),
      heard: Array.from(this.#heard, ([replica, version]) => ({ replica, version })),
      wanted: Array.from(this.#wanted, ([replica, version]) => ({ replica, version })),
      outcomes: this.#outcomes.map(({ mutation, state, parts: [part] }) => ({
        mutation,
        rejected: state === 'rejected' ? (part?.reason ?? '') : null,
      })),
      manager: this.#manager.standing,
      ...(this.#proposing ? { isProposing: true } : {}),
    };
  }

  /** Goes on where another one was; instead of {@link begin}. */
  resume({ versions, heard, wanted, outcomes, manager, isProposing = false }: PartingStanding): void {
    this.#proposing = isProposing ? this.#tentative[0] : undefined;
    for (const { version, root, vector } of versions) {
      this.#versions.set(version, { root, vector: VersionVector.from(vector) });
    }
    for (const { replica, version } of heard) this.#heard.set(replica, version);
    for (const { replica, version } of wanted) this.#wanted.set(replica, version);
    this.#outcomes.push(
      ...outcomes.map(({ mutation, rejected }) =>
        rejected === null ? appliedOutcome(mutation) : rejectedOutcome(mutation, rejected),
      ),
    );
    this.#manager.resume(manager);
  }

  /** What was decided, with what is tentative here. */
  get view(): StateRoot {
    this.#view ??= this.#pending().root;
    return this.#view;
  }

  /** Whether what is done now is kept apart. */
  get isTentative(): boolean {
    return this.#manager.mode === 'tentative';
  }

  /** Whether something is still to be brought to the group. */
  get isMerging(): boolean {
    return this.#tentative.length > 0 && !this.isTentative;
  }

  get reports(): readonly MergeReport[] {
    return this.#manager.reports;
  }

  get standing(): PartitionView {
    return this.#manager.view;
  }

  reaches(player: string): boolean {
    return this.#manager.isReached(player as ReplicaId);
  }

  /** A number for a change of this player that none had before. */
  nextCounter(): number {
    const decided = seatOf(this.#own.consensus().root, this.#ports.replica)?.changes ?? 0;
    this.#made = Math.max(this.#made, decided) + 1;
    this.#store();
    return this.#made;
  }

  /** Does something that only counts once the group has taken it. Refused at once where it is against the rules as known here. */
  make(play: Play): void {
    const counter = this.nextCounter();
    const view = this.view;
    try {
      const changes = changesOf(view, this.#ports.replica, play, counter);
      const short = shortage(view, changes);
      if (short !== undefined) {
        this.#log('info', `${textOf(play, counter)} was refused here: ${short}`);
        return;
      }
      this.#tentative.push({ play, counter });
      this.#view = view.apply(changes);
      this.#store();
      const { version } = this.#own.consensus();
      const mutation = { writer: this.#ports.replica, counter };
      this.#emit({ kind: 'prediction', mutation, command: textOf(play, counter), version, changes });
      this.#traceVector();
    } catch (error) {
      if (!isSyncError(error)) throw error;
      this.#log('info', `${textOf(play, counter)} was refused here: ${error.message}`);
    }
  }

  /** The player has begun, or has come back. */
  begin(): void {
    this.#remember();
    this.describe();
  }

  describe(): void {
    this.#traceVector();
    const { version } = this.#own.consensus();
    for (const { mutation, changes, play } of this.#pending().pending) {
      const command = textOf(play, mutation.counter);
      this.#emit({ kind: 'prediction', mutation, command, version, changes: [...changes] });
    }
    if (this.#manager.view.state !== 'connected')
      this.#tracePartition(this.#manager.view.state, this.#manager.view, '');
  }

  /** A frame of another player came in; where it stands, its heartbeats say. */
  heard(from: ReplicaId, frame: Uint8Array): void {
    const message = readHeartbeat(frame);
    if (!message || message.sender !== from) return;
    const { version, root } = message;
    const consensus = this.#own.consensus();
    this.#heard.set(from, Math.max(version, this.#heard.get(from) ?? 0));
    if (!this.#manager.isReached(from)) this.#wanted.set(from, consensus.version);
    const there = this.#versions.get(version);
    const isCaughtUp = version >= (this.#wanted.get(from) ?? 0) && version <= consensus.version;
    const isEqual = isCaughtUp && there?.root === root && this.#tentative.length === 0;
    const vector = there?.vector ?? (version > consensus.version ? this.#vector() : this.#oldest());
    this.#manager.heard(from, vector, isEqual, this.#ports.clock.now());
  }

  tick(): void {
    this.#manager.tick(this.#ports.clock.now());
    this.#merge();
  }

  /** The group has decided something; `proposal` is undefined where it is a whole state. */
  decided(proposal: StateProposal | undefined): void {
    this.#remember();
    this.#view = undefined;
    const said = proposal && parsePlay(proposal.command);
    if (proposal && said) {
      this.#keep(appliedOutcome({ writer: proposal.writer, counter: said.counter }));
    }
    this.#traceVector();
    if (this.#tentative.length > 0) this.#rebase();
  }

  /** Brings the oldest that is tentative to the group, once all is known that the others have decided. */
  #merge(): void {
    const consensus = this.#own.consensus();
    const [next] = this.#tentative;
    if (!next || this.isTentative || this.#proposing || consensus.waiting > 0) return;
    const reached = [...this.#heard].filter(([player]) => this.#manager.isReached(player));
    if (reached.some(([, version]) => version > consensus.version)) return;
    if (this.#isDecided(next)) {
      this.#settle(next, undefined);
      return;
    }
    this.#proposing = next;
    this.#own.propose(next.play, next.counter);
  }

  /** What has become of the one that was on its way to the group. */
  settled(outcome: ProposalOutcome): void {
    const next = this.#proposing;
    this.#proposing = undefined;
    if (!next) return;
    const rejection = this.#isDecided(next) ? undefined : rejectionOf(outcome);
    if (outcome.state === 'committed' || this.#isDecided(next)) this.#settle(next, undefined);
    else if (rejection !== undefined) this.#settle(next, rejection);
    // Others came first, or we are cut off again: it stays tentative, and its turn comes once more.
  }

  /** Whether the group has decided it: also where that was said by an earlier life of this player, and is known only now. */
  #isDecided({ counter }: Tentative): boolean {
    return (seatOf(this.#own.consensus().root, this.#ports.replica)?.changes ?? 0) >= counter;
  }

  /** What was tentative has become a decided change, or was rejected. */
  #settle(one: Tentative, rejected: string | undefined): void {
    this.#tentative = this.#tentative.filter((other) => other !== one);
    this.#store();
    this.#view = undefined;
    const mutation = { writer: this.#ports.replica, counter: one.counter };
    const { version } = this.#own.consensus();
    if (rejected === undefined) {
      this.#emit({ kind: 'confirmation', mutation, version });
      return;
    }
    const reason = fitText(`${textOf(one.play, one.counter)}: ${rejected}`, 500);
    this.#emit({ kind: 'rollback', mutation, reason, version });
    this.#keep(rejectedOutcome(mutation, reason));
    this.#rebase();
  }

  #keep(outcome: MutationOutcome): void {
    this.#outcomes.push(outcome);
    if (this.#outcomes.length > OUTCOMES_KEPT * 2) this.#outcomes.splice(0, OUTCOMES_KEPT);
  }

  #pending() {
    let root = this.#own.consensus().root;
    const pending = this.#tentative.map(({ play, counter }) => {
      let changes: readonly Change[] = [];
      try {
        changes = changesOf(root, this.#ports.replica, play, counter);
        if (shortage(root, changes) !== undefined) changes = [];
      } catch (error) {
        if (!isSyncError(error)) throw error;
      }
      root = root.apply(changes);
      return { mutation: { writer: this.#ports.replica, counter }, changes, play };
    });
    return { root, pending };
  }

  #rebase(): void {
    if (!this.#ports.tap.isOpen) return;
    const { pending } = this.#pending();
    const { version } = this.#own.consensus();
    const told = pending.map(({ mutation, changes }) => ({ mutation, changes: [...changes] }));
    this.#emit({ kind: 'rebase', version, pending: told });
  }

  #remember(): void {
    const { version, root } = this.#own.consensus();
    this.#versions.set(version, { root: root.hash, vector: vectorOf(root) });
    const [oldest] = this.#versions.keys();
    if (this.#versions.size > VERSIONS_KEPT) this.#versions.delete(oldest!);
  }

  #oldest(): VersionVector {
    const [first] = this.#versions.values();
    return first?.vector ?? vectorOf(this.#own.consensus().root);
  }

  #vector(): VersionVector {
    const vector = vectorOf(this.#own.consensus().root);
    const last = this.#tentative.at(-1);
    const own = vector.get(this.#ports.replica);
    return last && last.counter > own ? vector.advance(this.#ports.replica, last.counter) : vector;
  }

  #store(): void {
    const plays: Value[] = this.#tentative.map(({ play, counter }) => textOf(play, counter));
    this.#ports.storage.put(STORED, { made: this.#made, plays });
  }

  #managed() {
    const self = this;
    return {
      get vector() {
        return self.#vectorIfOpen();
      },
      outcomesSince: (divergence: VersionVector) =>
        self.#outcomes.filter(({ mutation }) => mutation.counter > divergence.get(mutation.writer)),
      changed: (state: PartitionState | 'healed', view: PartitionView, detail: string) =>
        self.#tracePartition(state, view, detail),
    };
  }

  /** The manager asks once before the player's consensus has begun. */
  #vectorIfOpen(): VersionVector {
    return this.#versions.size > 0 ? this.#vector() : VersionVector.empty;
  }

  #tracePartition(state: PartitionState | 'healed', view: PartitionView, detail: string): void {
    const { version } = this.#own.consensus();
    const [reachable, members] = [[...view.reachable], [...view.members]];
    this.#emit({ kind: 'partition', state, reachable, members, version, detail: fitText(detail, 500) });
  }

  #traceVector(): void {
    if (this.#ports.tap.isOpen) this.#emit({ kind: 'vector', vector: this.#vector().entries() });
  }

  #log(level: 'info', text: string): void {
    this.#emit({ kind: 'log', level, text });
  }

  #emit(body: Parameters<PeerPorts['tap']['emit']>[1]): void {
    const { tap, replica } = this.#ports;
    if (tap.isOpen) tap.emit(replica, body);
  }
}

function appliedOutcome(mutation: MutationId): MutationOutcome {
  return { mutation, state: 'applied', parts: [] };
}

function rejectedOutcome(mutation: MutationId, reason: string): MutationOutcome {
  return { mutation, state: 'rejected', parts: [{ part: 'command', state: 'rejected', reason }] };
}

/** Why a change can not be; undefined where it only was not its turn. */
function rejectionOf(outcome: ProposalOutcome): string | undefined {
  if (outcome.state === 'rejected') return `${outcome.reason}: ${outcome.detail}`;
  if (outcome.state !== 'gave-up') return undefined;
  return outcome.reasons.findLast((reason) => reason.startsWith('resource-constraint'));
}

function readHeartbeat(frame: Uint8Array) {
  try {
    const message = decodeMessage(frame, noNames);
    return message.type === 'HEARTBEAT' ? message : undefined;
  } catch (error) {
    if (!isSyncError(error)) throw error;
    return undefined;
  }
}
