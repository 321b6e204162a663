import { SyncError } from '../errors/index.ts';
import { type Done, type LogDisk, SimulatedDisk } from '../events/index.ts';
import { FrameEncoder, type MessageBody, messageType } from '../messages/index.ts';
import { ConsensusPeer } from '../peers/index.ts';
import { milliseconds, type Transport } from '../ports/index.ts';
import { type Input, InputJournal, memberMade, proposeInput, roomInput } from '../replay/index.ts';
import { type Change, type ReplicaId, recordKey, replicaId } from '../state/index.ts';
import { TraceHub, type TraceRecord } from '../trace/index.ts';
import { Choices, Stream } from './choices.ts';
import { drawGroupIntent, GROUP_INITIAL, groupRules } from './consensus-domain.ts';
import { ConsensusReferee, type Operation } from './consensus-referee.ts';
import { type ConsensusFault, type ConsensusShape, drawConsensusShape, type MemberShape } from './consensus-shape.ts';
import { EventQueue } from './event-queue.ts';
import { type Conditions, Line } from './network.ts';
import { NodeClock } from './node-clock.ts';
import { Node } from './nodes.ts';
import type { SimulationOptions } from './shape.ts';

const TICK = milliseconds(50);
/** More than any run needs: who sends more talks to itself. */
const MAX_EFFECTS = 5_000;
const MAX_IN_FLIGHT = 3_000;
const STRANGER = replicaId('mallory');
const SESSION = 'group';
const DAMAGED = recordKey('damaged/here');

/** One way from one member to another. */
interface Way {
  readonly from: MemberNode;
  readonly to: MemberNode;
  readonly conditions: Conditions;
  readonly choices: Choices;
  readonly line: Line;
}

export class MemberNode extends Node {
  readonly shape: MemberShape;
  readonly replica: ReplicaId;
  readonly operations: Choices;
  disk = new SimulatedDisk();
  /** Undefined while its process is down or still opening its log. */
  peer: ConsensusPeer | undefined;
  /** Lives of its process; what an earlier one began is not carried out any more. */
  life = 0;
  /** Until when it says that it has no room, by the world's time. */
  fullUntil = 0;
  /** What the journal was told last of its room. */
  journaledRoom = '';
  /** The process whose state is damaged just now. */
  damaged: ConsensusPeer | undefined;
  /** The operations of this life that are not settled. */
  open = new Set<Operation>();

  constructor(clock: NodeClock, shape: MemberShape, operations: Choices) {
    super(clock);
    this.shape = shape;
    this.replica = replicaId(shape.name);
    this.operations = operations;
  }
}

/** A group, its disks, and the network between its members, in virtual time. */
export class ConsensusWorld {
  readonly shape: ConsensusShape;
  readonly queue = new EventQueue();
  readonly referee: ConsensusReferee;
  readonly members: readonly MemberNode[];
  readonly ways: readonly Way[];
  frames = 0;
  isWorking = true;
  /** When the last frame that some partition held up comes out, however early it is healed. */
  heldUntil = 0;
  /** Types of frames other than heartbeats, collected while it is there: when the group should be quiet. */
  chatter: string[] | undefined;
  readonly #options: SimulationOptions;
  readonly #hub = new TraceHub(this.queue);
  readonly #stranger = new FrameEncoder(STRANGER);
  /** Where the inputs go that the group is run again from. */
  readonly #journal: InputJournal | undefined;

  constructor(options: SimulationOptions, listener: ((record: TraceRecord) => void) | undefined) {
    const { seed, skip = {} } = options;
    this.#options = options;
    this.shape = drawConsensusShape(options);
    this.#stranger.names.seal();
    this.referee = new ConsensusReferee(this.shape.clients.length);
    this.#hub.listen((record) => this.referee.follow(record));
    if (listener) this.#hub.listen(listener);
    this.members = this.shape.clients.map((shape) => {
      return new MemberNode(new NodeClock(this.queue, shape.clock), shape, new Choices(seed, shape.name, skip));
    });
    this.#journal = options.inputs ? new InputJournal(this.#hub, this.members[0]!.replica) : undefined;
    this.ways = this.members.flatMap((from, row) =>
      this.members.flatMap((to, column) => (from === to ? [] : [this.#way(from, to, row * 5 + column)])),
    );
  }

  get now(): number {
    return this.queue.now();
  }

  /** Hands an input to a member's process, and keeps it where the group is to be run again. */
  #hand<T>(member: MemberNode, input: (now: number) => Input, work: () => T): T {
    if (!this.#journal) return work();
    const { replica, clock } = member;
    const now = clock.now();
    const room = this.#noRoom(member) ?? '';
    if (room !== member.journaledRoom) {
      member.journaledRoom = room;
      this.#journal.run(roomInput(replica, now, room), () => {});
    }
    return this.#journal.run(input(now), work);
  }

  /** The recording is to end here. */
  endRecording(): void {
    this.#journal?.flush();
  }

  #noRoom(member: MemberNode): string | undefined {
    return this.now < member.fullUntil ? 'the member is full' : undefined;
  }

  start(): void {
    for (const member of this.members) {
      this.#open(member);
      this.#every(TICK * (0.8 + this.members.indexOf(member) / 10), () => {
        if (member.isPaused) return;
        this.#live(
          member,
          (now) => ({ op: 'tick', replica: member.replica, now }),
          (peer) => peer.tick(),
        );
      });
      this.#act(member);
    }
  }

  // — processes and disks —

  /** A process of the member begins with what its disk has. */
  #open(member: MemberNode): void {
    const { life, disk } = member;
    disk.isHeld = true;
    const random = Stream.of(this.#options.seed, `random/${member.shape.name}/${life}`);
    const options = {
      ...groupRules,
      admit: () => this.#noRoom(member),
      replica: member.replica,
      members: this.members.map(({ replica }) => replica),
      clock: member.clock,
      random: this.#journal?.random(random, member.replica, member.clock) ?? random,
      settings: this.shape.settings,
      tap: this.#hub,
    };
    const driven = this.#driven(member, disk);
    const { contents } = disk;
    const done = (peer: ConsensusPeer | SyncError): void => {
      if (member.life !== life) return;
      if (peer instanceof SyncError) {
        this.crash(member, Stream.of(this.#options.seed, `broken/${life}`));
        return;
      }
      member.peer = peer;
      this.referee.recovered(peer);
      peer.listen((proposal) => this.referee.shown(peer, proposal));
      for (const way of this.ways) if (way.from === member) peer.attach(way.to.replica, this.#transport(way, life));
    };
    const open = (): void => ConsensusPeer.open(options, { disk: driven, contents }, GROUP_INITIAL(), done);
    if (this.#journal) this.#journal.run(this.#begun(member, contents), open);
    else open();
  }

  #begun({ replica, clock }: MemberNode, contents: Uint8Array): Input {
    const members = this.members.map((one) => one.replica);
    const links = this.ways.filter(({ from }) => from.replica === replica).map(({ to }) => to.replica);
    const made = memberMade(this.shape.settings, links);
    return { op: 'node', replica, now: clock.now(), session: SESSION, members, made, contents };
  }

  /** The member's disk, whose operations take their time. */
  #driven(member: MemberNode, disk: SimulatedDisk): LogDisk {
    const complete = (): void => {
      const { life } = member;
      this.queue.after(member.shape.flushTime, () => {
        member.handle(() => {
          if (member.life === life && member.disk === disk) disk.complete();
        });
      });
    };
    const told = (done: Done): Done => {
      return (error) =>
        this.#hand(
          member,
          (now) => flushedInput(member.replica, now, error),
          () => done(error),
        );
    };
    return {
      append: (bytes) => disk.append(bytes),
      flush: (done) => {
        disk.flush(told(done));
        complete();
      },
      replace: (bytes, done) => {
        disk.replace(bytes, told(done));
        complete();
      },
    };
  }

  /** Frames go over the way to the other; those from the other come by the way back, to whichever process runs there then. */
  #transport(way: Way, life: number): Transport {
    return {
      send: (frame) => {
        if (way.from.life !== life) return;
        this.frames++;
        const type = messageType(frame[1]);
        if (type !== 'HEARTBEAT') this.chatter?.push(`${way.from.replica} ${type}`);
        way.line.send(frame);
        if (way.line.inFlight > MAX_IN_FLIGHT) {
          this.referee.report('bounded', `${way.line.inFlight} frames are on their way to ${way.to.replica}`);
        }
      },
      close: () => {},
      onFrame: () => {},
      onClose: () => {},
    };
  }

  #way(from: MemberNode, to: MemberNode, index: number): Way {
    const { seed, skip = {} } = this.#options;
    const shape = this.shape.links[index]!;
    const conditions: Conditions = { shape, isRough: false, blockedUntil: { up: 0, down: 0 }, isCutOff: false };
    const choices = new Choices(seed, `${from.shape.name}/${to.shape.name}`, skip);
    const deliver = (frame: Uint8Array): void => {
      if (conditions.isCutOff) return;
      const over = this.shape.isBus ? null : from.replica;
      to.handle(() =>
        this.#live(
          to,
          (now) => ({ op: 'take', replica: to.replica, now, from: over }),
          (peer) => this.#receive(peer, frame, from.replica),
        ),
      );
    };
    return { from, to, conditions, choices, line: new Line(this.queue, conditions, 'up', choices, deliver) };
  }

  #receive(peer: ConsensusPeer, frame: Uint8Array, from: ReplicaId): void {
    const error = this.shape.isBus ? peer.receiveFrame(frame) : peer.receiveFrame(frame, from);
    if (error) this.referee.report('no-throw', `${peer.replica} refused a frame of ${from}: ${error.message}`);
  }

  /** Does something with a member's process, if there is one, and ends it where its disk has failed. */
  #live(member: MemberNode, input: (now: number) => Input, work: (peer: ConsensusPeer) => void): void {
    const { peer } = member;
    if (!peer) return;
    if (!peer.failure) this.#hand(member, input, () => work(peer));
    if (peer.failure) {
      this.crash(member, Stream.of(this.#options.seed, `failed/${member.life}/${member.shape.name}`));
      return;
    }
    if (peer.backlog.effects > MAX_EFFECTS || peer.backlog.held > this.shape.settings.perAnswer) {
      const { effects, held } = peer.backlog;
      this.referee.report('bounded', `${peer.replica} has ${effects} effects waiting and ${held} changes held`);
    }
  }

  /** The process ends, and starts again after a while from what its disk has kept. */
  crash(member: MemberNode, stream: Stream): void {
    this.referee.count('crash');
    for (const operation of member.open) operation.isOrphan = true;
    member.open = new Set();
    const { peer, replica } = member;
    const reason = 'its process ended';
    if (peer)
      this.#hand(
        member,
        (now) => ({ op: 'end', replica, now, reason }),
        () => peer.close(reason),
      );
    member.peer = undefined;
    member.life++;
    member.journaledRoom = '';
    member.forget();
    member.disk = member.disk.crash(stream);
    const { life } = member;
    this.queue.after(milliseconds(stream.pick([0, 50, 800, 4_000])), () => {
      if (member.life === life) member.handle(() => this.#open(member));
    });
  }

  // — what members want —

  #every(interval: number, run: () => void): void {
    this.queue.after(interval, () => {
      run();
      this.#every(interval, run);
    });
  }

  #act(member: MemberNode): void {
    this.queue.after(member.shape.pace * (0.5 + (member.operations.count % 7) / 7), () => {
      if (!this.isWorking) return;
      if (member.isPaused || !member.peer) member.operations.next();
      else this.perform(member);
      this.#act(member);
    });
  }

  /** The member wants something; answers what, where it could be taken. */
  perform(member: MemberNode): Operation | undefined {
    const name = `${member.shape.name}.${member.operations.count}`;
    const { stream, isSkipped } = member.operations.next();
    const { peer } = member;
    if (isSkipped || !peer || peer.waiting >= this.shape.settings.maxQueue) return undefined;
    const { intent, args, expected } = drawGroupIntent(stream, name, peer.root, this.shape.settings.maxChanges);
    const operation: Operation = { name, expected, outcome: undefined, isOrphan: false };
    this.referee.operations.set(name, operation);
    member.open.add(operation);
    const input = (now: number): Input => proposeInput(member.replica, now, intent, args);
    this.#live(member, input, () => {
      peer.propose(intent).listen((outcome) => {
        this.referee.settled(operation, outcome);
        if (outcome.state !== 'unknown') member.open.delete(operation);
      });
    });
    return operation;
  }

  // — faults —

  strike(fault: ConsensusFault, member: MemberNode, stream: Stream): void {
    this.referee.count(fault);
    this.#hub.emit(member.replica, { kind: 'fault', fault, phase: 'struck', target: member.replica, detail: '' });
    switch (fault) {
      case 'partition':
        this.#partition(member, stream);
        return;
      case 'pause':
        this.#pause(member, milliseconds(stream.pick([50, 500, 3_000, 12_000, 60_000])));
        return;
      case 'crash':
        this.crash(member, stream);
        return;
      case 'disk':
        member.disk.fail(new Error('no space left on the device'));
        return;
      case 'clock':
        member.clock.step(milliseconds(stream.pick([-3_000, -500, 400, 5_000, 30_000, 300_000])));
        return;
      case 'stall':
        member.fullUntil = this.now + milliseconds(stream.pick([200, 1_000, 3_000]));
        return;
      case 'corrupt':
        this.#speakAsStranger(member, stream);
        this.#damage(member, milliseconds(stream.pick([0, 100, 1_000])));
        return;
    }
  }

  /** Some are cut from the others, in one direction or both. */
  #partition(member: MemberNode, stream: Stream): void {
    const until = this.now + milliseconds(stream.pick([300, 1_000, 3_000, 8_000]));
    this.heldUntil = Math.max(this.heldUntil, until);
    const side = new Set(this.members.filter((one) => one === member || stream.chance(0.35)));
    const ways = stream.pick(['both', 'both', 'out', 'in'] as const);
    for (const { from, to, conditions } of this.ways) {
      const isOut = side.has(from) && !side.has(to);
      const isIn = !side.has(from) && side.has(to);
      if ((isOut && ways !== 'in') || (isIn && ways !== 'out')) {
        conditions.blockedUntil.up = Math.max(conditions.blockedUntil.up, until);
      }
    }
  }

  #pause(member: MemberNode, duration: number): void {
    member.pause();
    this.queue.after(duration, () => member.resume());
  }

  /** Somebody who is no member votes, and says that this and that was decided: refused, and nothing changes. */
  #speakAsStranger(member: MemberNode, stream: Stream): void {
    const { peer } = member;
    if (!peer || member.isPaused || peer.failure) return;
    const { version, root } = peer;
    const asked = { version: version + 1, base: root.hash, writer: STRANGER, counter: 1, command: 'x', changes: [] };
    const vote = { at: version, own: root.hash, promised: 0, reason: '', answer: 'accept' as const };
    const bodies: readonly MessageBody[] = [
      { type: 'PREPARE', round: stream.int(1, 1_000_000), ...asked },
      { type: 'ACCEPT', round: stream.int(1, 1_000_000), ...asked, root: root.hash },
      {
        type: 'VOTE',
        version: version + 1,
        round: stream.int(1, 9),
        proposer: member.replica,
        phase: 'accept',
        ...vote,
      },
      { type: 'DECIDED', ...asked, root: root.hash },
      { type: 'HEARTBEAT', version: version + 1_000, progress: 0, root: root.hash },
    ];
    const { frame } = this.#stranger.encode(stream.pick(bodies)).at(-1)!;
    const { replica } = member;
    const error = this.#hand(
      member,
      (now) => ({ op: 'take', replica, now, from: null }),
      () => peer.receiveFrame(frame),
    );
    if (error?.code !== 'MEMBER_UNKNOWN') {
      this.referee.report('domain', `${peer.replica} took a frame of a stranger: ${error?.message}`);
    }
  }

  /** The state of a member is another for a while, as that of one whose memory was damaged. Alone it would go on with that. */
  #damage(member: MemberNode, duration: number): void {
    const { peer } = member;
    if (!peer || member.isPaused || peer.failure || this.members.length === 1 || peer.backlog.effects > 0) return;
    if (member.damaged === peer) return;
    member.damaged = peer;
    this.#corrupt(member, peer, { op: 'put', key: DAMAGED, record: { by: member.replica } });
    this.#mend(member, peer, peer.root.hash, duration);
  }

  #mend(member: MemberNode, peer: ConsensusPeer, damaged: string, duration: number): void {
    this.queue.after(duration, () => {
      member.handle(() => {
        if (member.peer === peer && !peer.failure && peer.root.hash === damaged) {
          if (peer.backlog.effects > 0) {
            this.#mend(member, peer, damaged, TICK);
            return;
          }
          this.#corrupt(member, peer, { op: 'remove', key: DAMAGED });
        }
        // Else it has taken over a whole state meanwhile. One that has ended stays as it is until it starts anew.
        if (member.damaged === peer && !peer.failure) member.damaged = undefined;
      });
    });
  }

  #corrupt(member: MemberNode, peer: ConsensusPeer, change: Change): void {
    const { replica } = member;
    const input = (now: number): Input => ({ op: 'corrupt', replica, now, changes: [change] });
    this.#hand(member, input, () => peer.corrupt([change]));
  }

  // — healing —

  cutOff(member: MemberNode): void {
    for (const { from, to, conditions } of this.ways) {
      if (from === member || to === member) conditions.isCutOff = true;
    }
  }

  /** The member runs, its ways to others of `group` are whole again, and its disk works. */
  heal(member: MemberNode, group: readonly MemberNode[]): void {
    member.resume();
    member.fullUntil = 0;
    for (const { from, to, conditions } of this.ways) {
      if (!group.includes(from) || !group.includes(to) || (from !== member && to !== member)) continue;
      conditions.isRough = false;
      conditions.isCutOff = false;
      conditions.blockedUntil.up = 0;
    }
  }

  /** What still keeps these members from being settled and equal. */
  unsettled(group: readonly MemberNode[]): string | undefined {
    for (const { peer, replica, isPaused, open } of group) {
      if (!peer || isPaused) return `${replica} is down`;
      if (open.size > 0) return `${replica} waits for ${open.size} of its proposals`;
      if (peer.version !== this.referee.version)
        return `${replica} is at version ${peer.version} of ${this.referee.version}`;
      if (peer.hasUndecided) return `${replica} has accepted what nobody decides`;
    }
    return undefined;
  }
}

function flushedInput(replica: ReplicaId, now: number, error: unknown): Input {
  if (error === undefined) return { op: 'flushed', replica, now };
  return { op: 'flushed', replica, now, failure: error instanceof Error ? error.message : String(error) };
}
