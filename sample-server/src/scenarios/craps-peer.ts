import { isSyncError, SyncError } from '@syncscope/protocol/errors';
import { StateRoot } from '@syncscope/protocol/merkle';
import {
  ConsensusPeer,
  type Intent,
  memberStandingSchema,
  type ProposalOutcome,
  type ProposalReceipt,
  type StateProposal,
} from '@syncscope/protocol/peers';
import { milliseconds } from '@syncscope/protocol/ports';
import { boolean, finite, type Infer, object, optional, string, uint } from '@syncscope/protocol/schema';
import { type Change, type ReplicaId, type StateHash, stateHashSchema, type Value } from '@syncscope/protocol/state';
import type { StateView } from '@syncscope/protocol/sync';
import type { PeerNode, PeerPorts } from '../peers/peer-scenario.ts';
import { DiceChain, sha256 } from './craps-dice.ts';
import { CrapsDoctor, doctorStandingSchema } from './craps-doctor.ts';
import { CrapsMind } from './craps-mind.ts';
import { CrapsParting, partingStandingSchema } from './craps-parting.ts';
import { changesOf, gameOf, type Play, parsePlay, seatOf, shortage, tableOf, textOf, tokensIn } from './craps-rules.ts';

/** Milliseconds. Shorter than usual, so that one sees what happens. */
const TIMES = { round: 400, resend: 100, backoff: 40, heartbeat: 250, takeOver: 600 } as const;
/** Tries of one change: what nobody has room for after so many is given up. */
const ATTEMPTS = 4;

/** All that a player holds beside its storage. */
const standingSchema = object({
  /** What was proposed and is not settled yet. */
  asked: optional(object({ command: string(80), base: optional(stateHashSchema), isOfParting: boolean })),
  consensus: memberStandingSchema,
  parting: partingStandingSchema,
  doctor: doctorStandingSchema,
  isDone: finite,
  thinkAt: finite,
  unsteady: uint,
});
type CrapsStanding = Infer<typeof standingSchema>;

/** What was proposed and is not settled yet. */
interface Asked {
  readonly play: Play;
  readonly counter: number;
  /** Where it is to hold for the state as it was only. */
  readonly base: StateHash | undefined;
  /** Whether it was tentative. */
  readonly isOfParting: boolean;
}

/**
 * One player at the table. All that happens there is decided by the group ({@link ConsensusPeer}); a player that is cut off from the majority
 * keeps what it does apart ({@link CrapsParting}), and one whose state is not the others' has it mended ({@link CrapsDoctor}).
 */
export class CrapsPeer implements PeerNode {
  readonly replica: ReplicaId;
  readonly #ports: PeerPorts;
  readonly #chain: DiceChain;
  readonly #mind: CrapsMind;
  readonly #parting: CrapsParting;
  readonly #doctor: CrapsDoctor;
  /** All tokens that there are. */
  readonly #tokens: number;
  #consensus: ConsensusPeer | undefined;
  #asked: Asked | undefined;
  #unsteady = 0;
  #thinkAt: number;
  #isStopped = false;

  constructor(ports: PeerPorts) {
    this.replica = ports.replica;
    this.#ports = ports;
    this.#chain = chainOf(ports.seed, ports.replica);
    this.#mind = new CrapsMind(ports.replica, ports.members, ports.random);
    this.#thinkAt = ports.clock.now() + milliseconds(this.#mind.pause());
    const initial = firstTable(ports.seed, ports.members);
    this.#tokens = tokensIn(initial);
    this.#parting = new CrapsParting(ports, {
      consensus: () => this.#consensus!,
      propose: (play, counter) => this.#propose({ play, counter, base: undefined, isOfParting: true }),
    });
    this.#doctor = new CrapsDoctor(ports, () => this.#consensus!);
    const stands = ports.standing === undefined ? undefined : standingSchema.parse(ports.standing, 'standing');
    this.#open(initial, stands);
    if (stands) this.#resume(stands);
  }

  /** With what is tentative here. */
  get state(): StateView {
    return this.#parting.view;
  }

  get consensus(): ConsensusPeer {
    return this.#consensus!;
  }

  get parting(): CrapsParting {
    return this.#parting;
  }

  receive(from: ReplicaId, frame: Uint8Array): void {
    if (this.#doctor.receive(from, frame)) return;
    this.#consensus?.receiveFrame(frame, from);
    this.#parting.heard(from, frame);
    this.#doctor.heard(from, frame);
  }

  tick(): void {
    const consensus = this.#consensus;
    if (!consensus || this.#isStopped) return;
    consensus.tick();
    this.#parting.tick();
    this.#doctor.tick();
    const now = this.#ports.clock.now();
    // A clock that was put back must not keep a player from thinking.
    if (now < this.#thinkAt && this.#thinkAt - now < milliseconds(10_000)) return;
    this.#thinkAt = now + milliseconds(this.#mind.pause());
    this.#think();
  }

  describe(): void {
    this.#consensus?.announce();
    this.#parting.describe();
  }

  corrupt(change: Change): void {
    this.#consensus?.corrupt([change]);
  }

  unsteady(events: number): string {
    this.#unsteady += events;
    return `what ${this.replica} makes of the next ${events} decided changes is not what was decided`;
  }

  standing(): Value | undefined {
    const consensus = this.#consensus?.standing;
    const parting = this.#parting.held;
    const doctor = this.#doctor.standing;
    const asked = this.#asked;
    // Between an outcome and what follows from it there is none.
    if (!consensus || !parting || !doctor || this.#consensus?.waiting !== (asked ? 1 : 0)) return undefined;
    const standing: CrapsStanding = {
      ...(asked ? { asked: saidAsked(asked) } : {}),
      consensus,
      parting,
      doctor,
      isDone: this.#mind.standing,
      thinkAt: this.#thinkAt,
      unsteady: this.#unsteady,
    };
    return standing as unknown as Value;
  }

  #resume({ parting, doctor, isDone, thinkAt, unsteady }: CrapsStanding): void {
    this.#parting.resume(parting);
    this.#doctor.resume(doctor);
    this.#mind.resume(isDone);
    this.#thinkAt = thinkAt;
    this.#unsteady = unsteady;
  }

  stop(reason: string): void {
    this.#isStopped = true;
    this.#consensus?.close(reason);
  }

  #open(initial: StateRoot, stands: CrapsStanding | undefined): void {
    const { replica, members, random, clock, tap, storage } = this.#ports;
    const contents = storage.disk.contents;
    const settings = {
      roundTimeout: milliseconds(TIMES.round),
      resendInterval: milliseconds(TIMES.resend),
      backoff: milliseconds(TIMES.backoff),
      heartbeatInterval: milliseconds(TIMES.heartbeat),
      takeOver: milliseconds(TIMES.takeOver),
      maxAttempts: ATTEMPTS,
      kept: 1_000,
    };
    const rules = {
      validate: (before: StateRoot, after: StateRoot, proposal: StateProposal) =>
        this.#refusal(before, after, proposal),
      admit: (proposal: Pick<StateProposal, 'command' | 'changes' | 'writer'>) => this.#noRoom(proposal),
    };
    const options = { replica, members, random, clock, tap, settings, ...rules };
    const asked = stands?.asked && askedOf(stands.asked);
    const onOpened = (opened: ConsensusPeer | SyncError): void => {
      if (opened instanceof SyncError) throw opened;
      this.#consensus = opened;
      if (asked) this.#follow(asked, opened.receipts[0]!);
      for (const member of members) if (member !== replica) opened.attach(member, this.#transportTo(member));
      opened.listen((proposal) => this.#onDecided(proposal));
      if (!stands) this.#parting.begin();
    };
    const intents = asked ? [this.#intentOf(asked)] : [];
    ConsensusPeer.open(options, { disk: storage.disk.open(), contents }, initial, onOpened, stands?.consensus, intents);
  }

  /** Frames come in by {@link receive}, so that everything that a frame tells is looked at in one place. */
  #transportTo(member: ReplicaId) {
    return {
      send: (frame: Uint8Array) => this.#ports.send(member, frame),
      close: () => undefined,
      onFrame: () => undefined,
      onClose: () => undefined,
    };
  }

  /** Every member works out for itself what a command comes to, and takes nothing else. */
  #refusal(before: StateRoot, after: StateRoot, { command, writer }: StateProposal): string | undefined {
    const said = parsePlay(command);
    if (!said) return `${command} is no command at this table`;
    try {
      const changes = changesOf(before, writer, said.play, said.counter);
      const expected = before.apply(changes);
      if (expected.hash !== after.hash) return `${command} does not come to these changes`;
      return shortage(before, changes);
    } catch (error) {
      if (!isSyncError(error)) throw error;
      return error.message;
    }
  }

  #noRoom({ command, changes }: Pick<StateProposal, 'command' | 'changes' | 'writer'>): string | undefined {
    const root = this.#consensus?.root ?? StateRoot.empty;
    if (parsePlay(command)?.play.play === 'take-dice') {
      const { shooter } = gameOf(root);
      const { left } = seatOf(root, shooter) ?? { left: 0 };
      if (shooter !== this.replica && this.#parting.reaches(shooter) && left > 0) {
        return `${shooter} has the dice and is here`;
      }
    }
    return shortage(root, changes);
  }

  #think(): void {
    const consensus = this.#consensus!;
    const isBusy = this.#asked !== undefined || consensus.waiting > 0 || this.#parting.isMerging;
    // What the group was asked before it fell apart may wait as long as that lasts.
    if (isBusy && !this.#parting.isTentative) return;
    const view = this.#parting.view;
    const { shooter } = gameOf(view);
    const seat = seatOf(view, this.replica);
    const link = seat && this.#chain.before(seat.link);
    const canRoll = (seatOf(view, shooter)?.left ?? 0) > 0;
    const isShooterHere = shooter === this.replica || (canRoll && this.#parting.reaches(shooter));
    const play = this.#mind.think(view, { isShooterHere, link, isTentative: this.#parting.isTentative });
    if (!play) return;
    if (this.#parting.isTentative) {
      this.#parting.make(play);
      return;
    }
    const isPinned = play.play === 'take-chip' || play.play === 'transfer';
    const base = isPinned ? consensus.root.hash : undefined;
    this.#propose({ play, counter: this.#parting.nextCounter(), base, isOfParting: false });
  }

  #propose(asked: Asked): void {
    this.#asked = asked;
    this.#follow(asked, this.#consensus!.propose(this.#intentOf(asked)));
  }

  #intentOf({ play, counter, base }: Asked): Intent {
    return {
      command: textOf(play, counter),
      changes: (root) => changesOf(root, this.replica, play, counter),
      ...(base === undefined ? {} : { base }),
    };
  }

  #follow(asked: Asked, receipt: ProposalReceipt): void {
    this.#asked = asked;
    receipt.listen((outcome) => {
      if (this.#asked === asked && outcome.state !== 'unknown') this.#asked = undefined;
      if (outcome.state !== 'committed') this.#tellRefusal(asked, outcome);
      if (outcome.state !== 'unknown' && asked.isOfParting) this.#parting.settled(outcome);
    });
  }

  #tellRefusal({ play, counter }: Asked, outcome: Exclude<ProposalOutcome, { state: 'committed' }>): void {
    this.#mind.refused(play);
    const why = outcome.state === 'rejected' ? `${outcome.reason}: ${outcome.detail}` : outcome.reasons.at(-1);
    const text = `${textOf(play, counter)} was ${outcome.state === 'rejected' ? 'rejected' : `${outcome.state}`}: ${why}`;
    this.#log(outcome.state === 'rejected' ? 'info' : 'warn', text);
  }

  #onDecided(proposal: StateProposal | undefined): void {
    const consensus = this.#consensus!;
    const tokens = tokensIn(consensus.root);
    if (tokens !== this.#tokens) {
      this.#log('error', `there are ${tokens} tokens at v${consensus.version}, and there were ${this.#tokens}`);
    }
    this.#parting.decided(proposal);
    if (proposal && this.#unsteady > 0) {
      this.#unsteady--;
      this.#goWrong();
    }
    const soon = this.#mind.startle(this.#parting.view, proposal && parsePlay(proposal.command)?.play);
    const at = this.#ports.clock.now() + milliseconds(soon ?? 0);
    if (soon !== undefined && at < this.#thinkAt) this.#thinkAt = at;
  }

  /** The reducer answers something else than what was decided: one more token than there is, or one less. */
  #goWrong(): void {
    const { root } = this.#consensus!;
    const keys = [...root.entries('account/')].map(([key]) => key).sort();
    const key = keys[Math.floor(this.#ports.random.next() * keys.length)]!;
    const tokens = Number(root.get(key)?.tokens) + (this.#ports.random.next() < 0.5 ? 1 : -1);
    this.corrupt({ op: 'put', key, record: { tokens } });
  }

  #log(level: 'info' | 'warn' | 'error', text: string): void {
    const { tap } = this.#ports;
    if (tap.isOpen) tap.emit(this.replica, { kind: 'log', level, text: text.slice(0, 2_000) });
  }
}

function saidAsked({ play, counter, base, isOfParting }: Asked): NonNullable<CrapsStanding['asked']> {
  return { command: textOf(play, counter), ...(base === undefined ? {} : { base }), isOfParting };
}

/** @throws SyncError `REPLAY_INPUT_UNFIT` */
function askedOf({ command, base, isOfParting }: NonNullable<CrapsStanding['asked']>): Asked {
  const said = parsePlay(command);
  if (said) return { ...said, base, isOfParting };
  throw new SyncError('REPLAY_INPUT_UNFIT', `${command} is no command at this table`, { origin: 'capture' });
}

function chainOf(seed: number, player: ReplicaId): DiceChain {
  return new DiceChain(sha256(`${seed} ${player}`));
}

const tables = new Map<string, StateRoot>();

/** The table before anybody has done anything: the same at each member, who know each other's commitments. */
export function firstTable(seed: number, members: readonly ReplicaId[]): StateRoot {
  const name = `${seed} ${members.join(' ')}`;
  const known = tables.get(name);
  if (known) return known;
  const commitments = new Map(members.map((member) => [member, chainOf(seed, member).commitment]));
  const table = StateRoot.from(tableOf(commitments));
  tables.clear();
  tables.set(name, table);
  return table;
}
