import { expect } from 'vitest';
import type { SyncError } from '../errors/index.ts';
import { compactLog, DiskEventLog, type LogEntry, readLogFile, replay, SimulatedDisk } from '../events/index.ts';
import type { StateRoot } from '../merkle/index.ts';
import { type Random, seededRandom } from '../ports/index.ts';
import { replicaId, type Value, type Version } from '../state/index.ts';
import { ClientState } from './client.ts';
import { SyncManager } from './manager.ts';
import { coinSession } from './memory-link.test-helper.ts';
import { type LinkId, type Outgoing, perLink } from './outbox.ts';

export const NAMES = ['alice', 'bob'] as const;
const STEP = 50_000_000;

interface Seat {
  readonly client: ClientState;
  link: LinkId | undefined;
  version: number;
}

/** Clients and an authority on a log whose disk makes durable what it is told to, and which may end at any moment and start again. */
export class DurableSession {
  disk = new SimulatedDisk();
  log: DiskEventLog;
  manager: SyncManager;
  now = 0;
  /** The authority crashes before the so-manieth thing that happens. */
  crashAt: number;
  happened = 0;
  restarts = 0;
  readonly seats = new Map<string, Seat>();
  /** How each mutation ended, as its writer was told. */
  readonly told = new Map<string, string[]>();
  readonly #random: Random;
  #frames: { link: LinkId; to: 'client' | 'manager'; frame: Uint8Array | undefined }[] = [];
  #nextLink = 1;
  #read: Uint8Array | undefined;
  readonly #entries: LogEntry[] = [];
  #isDelivering = false;

  constructor(seed: number, crashAt = Number.POSITIVE_INFINITY) {
    this.#random = seededRandom(seed);
    this.crashAt = crashAt;
    this.log = this.#open();
    this.manager = this.#start();
    this.disk.complete();
    for (const name of NAMES) {
      const client = new ClientState({
        definition: coinSession,
        replica: replicaId(name),
        session: 'coins',
        token: 'none',
      });
      const seat: Seat = { client, link: undefined, version: 0 };
      this.seats.set(name, seat);
      client.on((event) => {
        if (event.type === 'confirmed' || event.type === 'rejected') {
          const id = `${event.mutation.writer}#${event.mutation.counter}`;
          this.told.set(id, [...(this.told.get(id) ?? []), event.type]);
          const { writer, counter } = event.mutation;
          const entry = this.#durable().find(
            ({ mutation }) => mutation.writer === writer && mutation.counter === counter,
          );
          expect(entry?.outcome).toBe(event.type === 'confirmed' ? 'committed' : 'refused');
        } else if (event.type === 'committed') {
          const { version, root } = event;
          expect(version).toBeGreaterThanOrEqual(seat.version);
          seat.version = version;
          if (version > 1) expect(this.#durable().findLast((entry) => entry.version === version)?.root).toBe(root);
        }
      });
    }
  }

  /** What no crash can take away, and what was compacted since it was so. */
  #durable(): readonly LogEntry[] {
    const bytes = this.disk.durable;
    if (this.#read === bytes) return this.#entries;
    this.#read = bytes;
    const { index } = readLogFile(bytes);
    expect(this.#entries.length).toBeGreaterThanOrEqual(index.base);
    expect(index.last).toBeGreaterThanOrEqual(this.#entries.length);
    this.#entries.push(...index.read(Math.max(0, this.#entries.length)));
    return this.#entries;
  }

  /** Drops the entries up to some position that is durable. */
  compact(at: number): void {
    this.#durable();
    const { base, durable } = this.log;
    compactLog(this.log, coinSession.reduce, base + (at % (durable - base + 1)));
  }

  #open(): DiskEventLog {
    let opened: DiskEventLog | SyncError | undefined;
    this.disk.isHeld = false;
    DiskEventLog.open(this.disk.contents, this.disk, (log) => {
      opened = log;
    });
    this.disk.isHeld = true;
    if (!(opened instanceof DiskEventLog)) throw opened;
    return opened;
  }

  #start(): SyncManager {
    return new SyncManager({
      definition: coinSession,
      replica: replicaId('server'),
      session: 'coins',
      random: seededRandom(1),
      now: this.now,
      log: this.log,
    });
  }

  crash(isPowerLost: boolean): void {
    this.restarts++;
    this.#frames = [];
    for (const seat of this.seats.values()) {
      if (seat.link !== undefined) seat.client.closed('the authority is gone', this.now);
      seat.link = undefined;
    }
    const { durable, last } = this.log;
    this.disk = isPowerLost ? this.disk.crash(this.#random) : new SimulatedDisk(this.disk.contents);
    this.log = this.#open();
    this.manager = this.#start();
    expect(this.log.last).toBeGreaterThanOrEqual(durable);
    expect(this.log.last).toBeLessThanOrEqual(last);
    expect(this.manager.root.hash).toBe(replay(this.log, coinSession.reduce).root.hash);
  }

  /** Something is about to happen. False where the authority ended first. */
  #happens(): boolean {
    if (++this.happened !== this.crashAt) return true;
    this.crash(this.#random.next() < 0.8);
    return false;
  }

  complete(): void {
    if (this.#happens()) this.disk.complete();
  }

  connect(name: string): void {
    const seat = this.seats.get(name)!;
    if (seat.link !== undefined) return;
    seat.link = this.#nextLink++;
    this.manager.connect(seat.link, this.now);
    this.#toManager(seat, seat.client.open(this.now));
  }

  cut(name: string): void {
    const seat = this.seats.get(name)!;
    const { link } = seat;
    if (link === undefined) return;
    seat.link = undefined;
    this.#frames = this.#frames.filter((one) => one.link !== link);
    this.manager.disconnect(link, 'cut', this.now);
    seat.client.closed('cut', this.now);
  }

  predict(name: string, command: string, args: Value): void {
    const seat = this.seats.get(name)!;
    const result = seat.client.predict(command, args, this.now, { unchecked: true });
    if ('frames' in result) this.#toManager(seat, result.frames);
  }

  mutate(command: string, args: Value): void {
    this.manager.mutate(command, args, this.now);
  }

  run(steps: number): void {
    for (let step = 0; step < steps; step++) {
      this.now += STEP;
      if (this.#happens()) this.#fromManager(this.manager.tick(this.now));
      for (const seat of this.seats.values()) this.#toManager(seat, seat.client.tick(this.now));
    }
  }

  #toManager({ link }: Seat, frames: readonly Uint8Array[]): void {
    if (link !== undefined) for (const frame of frames) this.#frames.push({ link, to: 'manager', frame });
    this.#deliver();
  }

  #fromManager(outgoing: readonly Outgoing[]): void {
    for (const one of perLink(outgoing)) {
      this.#frames.push({ link: one.link, to: 'client', frame: 'frame' in one ? one.frame : undefined });
    }
    this.#deliver();
  }

  #deliver(): void {
    if (this.#isDelivering) return;
    this.#isDelivering = true;
    for (let next = this.#frames.shift(); next; next = this.#frames.shift()) {
      const { link, to, frame } = next;
      if (!this.#happens()) continue;
      const seat = [...this.seats.values()].find((one) => one.link === link);
      if (!seat) continue;
      if (!frame) {
        seat.link = undefined;
        seat.client.closed('closed', this.now);
      } else if (to === 'manager') {
        this.#fromManager(this.manager.receive(link, frame, this.now));
      } else {
        this.#toManager(seat, seat.client.receive(frame, this.now));
      }
    }
    this.#isDelivering = false;
  }

  /** Everything works again, for long enough. */
  heal(): void {
    this.crashAt = Number.POSITIVE_INFINITY;
    this.disk.isHeld = false;
    while (this.disk.complete()) {}
    for (const name of NAMES) {
      this.cut(name);
      this.connect(name);
    }
    this.run(80);
  }

  audit(): void {
    const entries = this.#durable();
    expect(this.log.durable).toBe(this.log.last);
    const state = replay(this.log, coinSession.reduce);
    expect([state.version, state.root.hash]).toEqual([this.manager.version, this.manager.root.hash]);
    expectSettled(entries, state, this.seats.values(), this.told, NAMES);
  }
}

/** Every client has all, nothing twice, and heard of each of its mutations once what the log says of it. */
export function expectSettled(
  entries: readonly LogEntry[],
  state: { readonly version: Version; readonly root: StateRoot },
  seats: Iterable<{ readonly client: ClientState }>,
  told: ReadonlyMap<string, readonly string[]>,
  names: readonly string[],
): void {
  const notes = entries
    .flatMap((one) => (one.outcome === 'committed' ? one.events : []))
    .filter(({ type }) => type === 'NOTED')
    .map(({ detail }) => detail);
  expect(new Set(notes).size).toBe(notes.length);
  for (const { client } of seats) {
    expect(client.pending).toEqual([]);
    expect([client.version, client.committed.hash]).toEqual([state.version, state.root.hash]);
    const own = entries.filter(({ mutation }) => mutation.writer === client.replica);
    expect(own.map(({ mutation }) => mutation.counter)).toEqual(own.map((_, index) => index + 1));
    for (const { mutation, outcome } of own) {
      const ends = told.get(`${mutation.writer}#${mutation.counter}`);
      expect(ends).toEqual([outcome === 'committed' ? 'confirmed' : 'rejected']);
    }
  }
  // A mutation that its writer was told of, and that the log does not have, would be missing above; one that it has not, here.
  const writers = new Set(names);
  expect(told.size).toBe(entries.filter(({ mutation }) => writers.has(mutation.writer)).length);
}
