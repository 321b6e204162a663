import { SyncError } from '@syncscope/protocol/errors';
import { milliseconds, type Random } from '@syncscope/protocol/ports';
import { argumentText, type Input, type InputJournal } from '@syncscope/protocol/replay';
import { type Change, type ReplicaId, replicaId, type Value } from '@syncscope/protocol/state';
import type { Tap } from '@syncscope/protocol/trace';
import { chooseDrift } from '../faults/drift.ts';
import { FaultBoard } from '../faults/fault-board.ts';
import type { FaultyLink } from '../faults/link.ts';
import { NO_TROUBLE, type Trouble } from '../faults/presets.ts';
import type { PeerNode, PeerPorts, PeerScenario } from './peer-scenario.ts';
import { SkewedClock } from './skewed-clock.ts';
import { packContents, packStanding } from './standing.ts';
import { PeerStorage } from './storage.ts';

export interface PeerWorldOptions {
  readonly scenario: PeerScenario;
  readonly session: string;
  readonly seed: number;
  /** A stream of its own for each part. */
  readonly random: (part: string) => Random;
  readonly tap: Tap;
  /** How many; the scenario's own number where absent. */
  readonly peers?: number;
  readonly compress?: number;
  /** Where the inputs go that the session is run again from. */
  readonly journal?: InputJournal;
}

/** One member over all its lives. */
interface Member {
  readonly replica: ReplicaId;
  readonly clock: SkewedClock;
  readonly storage: PeerStorage;
  readonly links: ReadonlyMap<ReplicaId, FaultyLink>;
  /** Absent while it is down. */
  node: PeerNode | undefined;
  lives: number;
  /** Whether it is known to who listens now: since it began, or where it stood. */
  isTold: boolean;
  /** Whether it is to say where it stands as soon as it can. */
  wantsTelling: boolean;
  /** Whether who listens now knows what was in its storage. */
  isStorageTold: boolean;
}

const UNTOLD = { lives: 0, isTold: false, wantsTelling: false, isStorageTold: false };
const NO_BYTES = new Uint8Array(0);
const TICK_MS = 50;
/** Peers are some way apart: without that nobody would ever do anything at the same time. */
const USUAL: Trouble = { ...NO_TROUBLE, latency: 15, jitter: 10 };

/**
 * The peers of one session, in this process. Each has its own state, clock and storage; every two are joined by links of the fault board
 * that carry real frames. A frame is received after what sent it has ended, in the order of arrival.
 */
export class PeerWorld {
  readonly faults: FaultBoard;
  readonly #options: PeerWorldOptions;
  readonly #members = new Map<ReplicaId, Member>();
  readonly #restarts = new Set<NodeJS.Timeout>();
  readonly #arrived: {
    readonly from: ReplicaId;
    readonly to: Member;
    readonly life: number;
    readonly frame: Uint8Array;
  }[] = [];
  #delivering: NodeJS.Immediate | undefined;
  #ticking: NodeJS.Timeout | undefined;
  #isClosed = false;
  /** Whether anybody listened when last something was done. */
  #isHeard = false;
  /** Whether a record has told of the frame that a peer is being handed. */
  #isFrameTold = false;
  /** What a peer that is being handed something has said: it goes out once it has ended, so that nobody else writes into the trace meanwhile. */
  #said: (() => void)[] | undefined;

  /** @throws SyncError `PEERS_INVALID` where the scenario is not for so many */
  constructor(options: PeerWorldOptions) {
    this.#options = options;
    const { scenario, tap, random } = options;
    const names = peerNames(scenario, options.peers ?? scenario.peers);
    this.faults = new FaultBoard({
      tap,
      authority: null,
      reporter: names[0]!,
      random: random('faults'),
      targets: () => this.targets,
      usual: USUAL,
      newsOf: (frame) => scenario.newsOf(frame),
      corrupt: (target, key, field) => this.#corrupt(target, key, field),
      crash: (target, downtime) => this.#crash(target, downtime),
      skew: (target, by) => this.#skew(target, by),
      unsteady: (target, events) => this.#unsteady(target, events),
    });
    for (const name of names) this.#members.set(name, this.#member(name, names));
  }

  /** Peers that are up. */
  get targets(): ReplicaId[] {
    return this.peers.map(({ replica }) => replica);
  }

  get peers(): PeerNode[] {
    return [...this.#members.values()].flatMap(({ node }) => node ?? []);
  }

  peer(replica: ReplicaId): PeerNode | undefined {
    return this.#members.get(replica)?.node;
  }

  start(): void {
    for (const member of this.#members.values()) this.#open(member);
    this.#ticking = setInterval(() => this.tick(), TICK_MS);
  }

  tick(): void {
    for (const member of this.#members.values()) {
      const { node, replica } = member;
      if (node)
        this.#hand(
          member,
          (now) => ({ op: 'tick', replica, now }),
          () => node.tick(),
        );
    }
  }

  describe(): void {
    if (this.#isJournaled) this.#options.journal?.flush();
    for (const member of this.#members.values()) {
      const { node } = member;
      member.isStorageTold = false;
      if (!node) continue;
      this.#act(member, 'describe', null, () => node.describe());
      // Whoever begins to listen now has heard nothing of it, though others have.
      this.#tellStanding(member, node);
    }
    this.faults.describe();
    // Where everybody stands is right behind what they hold there.
    if (this.#isJournaled) this.#options.journal?.flush();
  }

  /** Whether inputs are to be written. What was written for who listened before is not known to who listens now. */
  get #isJournaled(): boolean {
    const { journal } = this.#options;
    if (!journal?.isOpen) {
      this.#isHeard = false;
      return false;
    }
    if (!this.#isHeard) {
      this.#isHeard = true;
      journal.forget();
      for (const member of this.#members.values()) {
        Object.assign(member, { isTold: false, wantsTelling: false, isStorageTold: false });
      }
    }
    return true;
  }

  /** Says where a peer stands; later where it cannot be said now. */
  #tellStanding(member: Member, node: PeerNode): void {
    const { journal } = this.#options;
    if (!journal || !this.#isJournaled) return;
    const { replica, clock, storage } = member;
    const standing = node.standing();
    member.wantsTelling = standing === undefined;
    if (standing === undefined) return;
    const input: Input = {
      op: 'nodeStands',
      replica,
      now: clock.now(),
      session: this.#options.session,
      members: [...this.#members.keys()],
      made: this.#made(member),
      standing: packStanding(standing, { values: storage.values, file: NO_BYTES }),
    };
    journal.run(input, () => undefined);
    member.isTold = true;
    member.isStorageTold = true;
  }

  /** What a peer is made of. A life that is not the first begins with what is stored. */
  #made({ clock, lives }: Member, stored?: Uint8Array): string {
    const { scenario, seed, compress = scenario.compress } = this.#options;
    const { startedAt, by } = clock;
    const made = { scenario: scenario.name, seed, compress, startedAt, by, life: lives };
    return argumentText(stored ? { ...made, stored } : made);
  }

  close(reason: string): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    clearInterval(this.#ticking);
    clearImmediate(this.#delivering);
    for (const timer of this.#restarts) clearTimeout(timer);
    for (const member of this.#members.values()) {
      if (member.node) this.#stop(member, member.node, reason, false);
    }
    if (this.#isJournaled) this.#options.journal?.flush();
    this.faults.close();
  }

  /** Hands something to a peer at one moment of its clock, and keeps what that was where the session is to be run again. */
  #hand<T>(member: Member, input: (now: number) => Input, work: () => T): T {
    const { clock, node } = member;
    const { journal } = this.#options;
    if (!journal || !this.#isJournaled) return work();
    this.#said = [];
    this.#isFrameTold = false;
    try {
      return clock.hold(() => {
        const result = journal.note(work, () => (member.isTold ? input(clock.now()) : undefined));
        if (member.wantsTelling && node && member.node === node) this.#tellStanding(member, node);
        return result;
      });
    } finally {
      const said = this.#said;
      this.#said = undefined;
      for (const say of said) say();
    }
  }

  #act<T>(member: Member, action: string, args: Value, work: () => T): T {
    const { replica } = member;
    return this.#hand(member, (now) => ({ op: 'act', replica, now, action, args: argumentText(args) }), work);
  }

  #stop(member: Member, node: PeerNode, reason: string, isCrash: boolean): void {
    this.#act(member, 'stop', { reason, isCrash }, () => node.stop(reason, isCrash));
  }

  /** The tap as a peer gets it. */
  get #tap(): Tap {
    const { tap, journal } = this.#options;
    if (!journal) return tap;
    return {
      get isOpen() {
        return tap.isOpen;
      },
      emit: (replica, body, cause, wire, source) => {
        if (body.kind === 'receive' || body.kind === 'refused') this.#isFrameTold = true;
        return tap.emit(replica, body, cause, wire, source);
      },
    };
  }

  #member(replica: ReplicaId, names: readonly ReplicaId[]): Member {
    const links = new Map<ReplicaId, FaultyLink>();
    for (const other of names) {
      if (other === replica) continue;
      const deliver = (frame: Uint8Array): void => this.#arrive(replica, other, frame);
      links.set(
        other,
        this.faults.link(
          () => replica,
          () => other,
          deliver,
        ),
      );
    }
    return { replica, clock: new SkewedClock(), storage: new PeerStorage(), links, node: undefined, ...UNTOLD };
  }

  #open(member: Member): void {
    const { scenario, session, seed, random, journal, compress = scenario.compress } = this.#options;
    const { replica, clock, storage, links } = member;
    const life = ++member.lives;
    const members = [...this.#members.keys()];
    // Another life draws other numbers: it would else make the ballots and pauses of the one before again.
    const drawn = random(life === 1 ? replica : `${replica} ${life}`);
    const ports: PeerPorts = {
      replica,
      members,
      session,
      seed,
      random: journal?.random(drawn, replica, clock) ?? drawn,
      clock,
      timer: clock.timer,
      wallTime: () => clock.wallTime(),
      tap: this.#tap,
      storage,
      compress,
      send: (to, frame) => this.#say(member, life, to, frame, links),
    };
    const isJournaled = this.#isJournaled;
    // What it finds on its disk is known to who has heard all that it has ever done, or where it stood.
    const isStored = isJournaled && life > 1 && !member.isStorageTold;
    const leans = life > 1 && !isStored ? { leansOnBefore: true } : {};
    const made = isJournaled ? this.#made(member, isStored ? packContents(storage.contents) : undefined) : '';
    Object.assign(member, { isTold: isJournaled, isStorageTold: isJournaled, wantsTelling: false });
    const input = (now: number): Input => ({ op: 'node', replica, now, session, members, made, ...leans });
    member.node = this.#hand(member, input, () => scenario.open(ports));
  }

  #say(
    member: Member,
    life: number,
    to: ReplicaId,
    frame: Uint8Array,
    links: ReadonlyMap<ReplicaId, FaultyLink>,
  ): void {
    if (member.lives !== life || !member.node) return;
    const say = (): void => links.get(to)?.push(frame);
    if (this.#said) this.#said.push(say);
    else say();
  }

  #arrive(from: ReplicaId, to: ReplicaId, frame: Uint8Array): void {
    const member = this.#members.get(to);
    if (!member?.node || this.#isClosed) return;
    this.#arrived.push({ from, to: member, life: member.lives, frame });
    this.#delivering ??= setImmediate(() => this.#deliver());
  }

  #deliver(): void {
    this.#delivering = undefined;
    // What comes meanwhile is for the next turn.
    for (const { from, to, life, frame } of this.#arrived.splice(0)) {
      const { node, replica } = to;
      if (to.lives !== life || !node) continue;
      const input = (now: number): Input => {
        return { op: 'take', replica, now, from, ...(this.#isFrameTold ? {} : { frame }) };
      };
      this.#hand(to, input, () => node.receive(from, frame));
    }
  }

  #crash(target: ReplicaId, downtime: number): string {
    const node = this.#running(target);
    const member = this.#members.get(target)!;
    member.node = undefined;
    this.#stop(member, node, 'it crashed', true);
    const timer = setTimeout(() => {
      this.#restarts.delete(timer);
      this.#open(member);
    }, downtime);
    this.#restarts.add(timer);
    return `ended without a word; starts again after ${downtime} ms with what it has on its disk`;
  }

  #skew(target: ReplicaId, by: number): string {
    this.#running(target);
    const member = this.#members.get(target)!;
    this.#act(member, 'skew', { by: milliseconds(by) }, () => {});
    member.clock.skew(milliseconds(by));
    return by === 0 ? 'its clock is right again' : `its clock is ${Math.abs(by)} ms ${by > 0 ? 'ahead' : 'behind'}`;
  }

  #corrupt(target: ReplicaId, key: string | undefined, field: string | undefined): string {
    const node = this.#running(target);
    const { shown } = this.#options.scenario;
    const { change, before, after, ...drift } = chooseDrift(node.state, this.faults.random, key, field, shown);
    this.#corruptAt(target, node, change);
    return `${drift.key} ${drift.field}: ${JSON.stringify(before)} became ${JSON.stringify(after)}`;
  }

  #corruptAt(replica: ReplicaId, node: PeerNode, change: Change): void {
    const input = (now: number): Input => ({ op: 'corrupt', replica, now, changes: [change] });
    this.#hand(this.#members.get(replica)!, input, () => node.corrupt(change));
  }

  #unsteady(target: ReplicaId, events: number): string {
    const node = this.#running(target);
    return this.#act(this.#members.get(target)!, 'unsteady', { events }, () => node.unsteady(events));
  }

  #running(target: ReplicaId): PeerNode {
    const node = this.#members.get(target)?.node;
    if (node) return node;
    throw new SyncError('FAULT_TARGET_UNKNOWN', `${target} is not up; up are ${this.targets.join(', ') || 'none'}`, {
      origin: 'setting',
      retry: 'backoff',
    });
  }
}

function peerNames({ name, least, most }: PeerScenario, count: number): ReplicaId[] {
  if (!Number.isInteger(count) || count < least || count > most) {
    throw new SyncError('PEERS_INVALID', `${count} peers: ${name} is for ${least} to ${most}`, { origin: 'setting' });
  }
  return Array.from({ length: count }, (_, index) => replicaId(`peer-${index + 1}`));
}
