import { seededRandom } from '../ports/index.ts';
import { recordKey, replicaId, type SyncRecord, type Value } from '../state/index.ts';
import type { Tap } from '../trace/index.ts';
import { ClientState } from './client.ts';
import type { ClientStateOptions } from './client-options.ts';
import { SyncManager } from './manager.ts';
import type { SyncManagerOptions } from './manager-options.ts';
import { type LinkId, type Outgoing, perLink } from './outbox.ts';
import type { SessionDefinition } from './session.ts';

const MILLISECOND = 1_000_000;

/** A session of coins and counters, small enough to reason about and with everything that a command can do. */
export const coinSession: SessionDefinition = {
  name: 'coins',
  *initialRecords() {
    for (let index = 0; index < 40; index++) yield [recordKey(`coin/${index}`), { owner: null, worth: index }];
    yield [recordKey('door/north'), { locked: true }];
  },
  commands: {
    /** `{coin}`: refused where somebody has it. */
    take(state, args, writer) {
      const coin = `coin/${field(args, 'coin')}`;
      const record = state.get(recordKey(coin));
      if (!record) return { accepted: false, reason: `there is no ${coin}` };
      if (record.owner !== null) return { accepted: false, reason: `${coin} is taken` };
      return { accepted: true, events: [{ type: 'TAKEN', player: writer, detail: coin, data: { coin, writer } }] };
    },
    /** `{coin}`: refused where the writer does not have it. */
    drop(state, args, writer) {
      const coin = `coin/${field(args, 'coin')}`;
      if (state.get(recordKey(coin))?.owner !== writer) return { accepted: false, reason: `${coin} is not yours` };
      return { accepted: true, events: [{ type: 'DROPPED', player: writer, detail: coin, data: { coin } }] };
    },
    /** `{id, text}`: a record of its own, under a new key. */
    note(_state, args, writer) {
      const note = `note/${field(args, 'id')}`;
      return { accepted: true, events: [{ type: 'NOTED', player: writer, detail: note, data: args }] };
    },
    /** `{id}`: takes a note away. */
    erase(state, args, writer) {
      const note = `note/${field(args, 'id')}`;
      if (!state.get(recordKey(note))) return { accepted: false, reason: `there is no ${note}` };
      return { accepted: true, events: [{ type: 'ERASED', player: writer, detail: note }] };
    },
    /** Accepted, and changes nothing. */
    wave: (_state, _args, writer) => ({ accepted: true, events: [{ type: 'WAVED', player: writer, detail: 'hello' }] }),
    /** What only the authority may do. */
    unlock: (_state, _args, writer) =>
      writer === 'server'
        ? { accepted: true, events: [{ type: 'UNLOCKED', player: writer, detail: 'door/north' }] }
        : { accepted: false, reason: 'door_locked' },
    explode() {
      throw new Error('boom');
    },
  },
  reduce(_state, event) {
    const data = event.data;
    switch (event.type) {
      case 'TAKEN':
        return [
          { op: 'patch', key: recordKey(field(data, 'coin')), fields: { owner: field(data, 'writer') }, removed: [] },
        ];
      case 'DROPPED':
        return [{ op: 'patch', key: recordKey(field(data, 'coin')), fields: { owner: null }, removed: [] }];
      case 'NOTED':
        return [{ op: 'put', key: recordKey(`note/${field(data, 'id')}`), record: data as SyncRecord }];
      case 'ERASED':
        return [{ op: 'remove', key: recordKey(event.detail) }];
      case 'UNLOCKED':
        return [{ op: 'patch', key: recordKey('door/north'), fields: { locked: false }, removed: [] }];
      default:
        return [];
    }
  },
};

function field(args: Value | undefined, name: string): string {
  if (typeof args !== 'object' || args === null || !Object.hasOwn(args, name)) throw new Error(`no ${name}`);
  return String((args as Readonly<Record<string, Value>>)[name]);
}

/** What becomes of a frame on its way: delivered this many times, or as another frame. */
export type Fate = (frame: Uint8Array, to: 'client' | 'manager') => readonly Uint8Array[];

const delivered: Fate = (frame) => [frame];

interface Connection {
  readonly client: ClientState;
  link: LinkId | undefined;
}

/** A frame on its way, or the end of the link behind the frames that were sent before it. */
interface Travelling {
  readonly link: LinkId;
  readonly to: 'client' | 'manager';
  readonly due: number;
  readonly what: { readonly frame: Uint8Array } | { readonly close: string };
}

/** A manager and its clients in one process, with links that deliver in order, and at once and whole unless `latency` and `fate` say otherwise. */
export class MemorySession {
  readonly manager: SyncManager;
  fate: Fate = delivered;
  /** Nanoseconds that the next frame travels. One that was sent before it on its link still arrives before it. */
  latency: () => number = () => 0;
  now = 0;
  /** Reasons for which the manager closed links. */
  readonly closes: string[] = [];
  readonly #tap: Tap | undefined;
  readonly #connections = new Map<string, Connection>();
  #travelling: Travelling[] = [];
  #isDelivering = false;
  #nextLink = 1;

  constructor(options: Partial<SyncManagerOptions> = {}) {
    this.#tap = options.tap;
    this.manager = new SyncManager({
      definition: coinSession,
      replica: replicaId('server'),
      session: 'coins',
      random: seededRandom(1),
      now: 0,
      ...options,
    });
  }

  get clients(): ClientState[] {
    return Array.from(this.#connections.values(), ({ client }) => client);
  }

  /** Makes a client and connects it. */
  join(name: string, options: Partial<ClientStateOptions> = {}): ClientState {
    const client = new ClientState({
      definition: coinSession,
      replica: replicaId(name),
      session: 'coins',
      token: 'open sesame',
      ...(this.#tap ? { tap: this.#tap } : {}),
      ...options,
    });
    this.#connections.set(name, { client, link: undefined });
    this.connect(name);
    return client;
  }

  connect(name: string): void {
    const connection = this.#connection(name);
    connection.link = this.#nextLink++;
    this.manager.connect(connection.link, this.now);
    this.#toManager(connection, connection.client.open(this.now));
  }

  /** Cuts the link; neither side could say anything. */
  cut(name: string): void {
    const connection = this.#connection(name);
    const { link } = connection;
    if (link === undefined) return;
    connection.link = undefined;
    this.#travelling = this.#travelling.filter((one) => one.link !== link);
    this.manager.disconnect(link, 'cut', this.now);
    connection.client.closed('cut', this.now);
  }

  isConnected(name: string): boolean {
    return this.#connection(name).link !== undefined;
  }

  /** A prediction of a client, sent at once. Answers the reason where it was refused locally. */
  predict(name: string, command: string, args: Value, options: { unchecked?: boolean } = {}): string | undefined {
    const connection = this.#connection(name);
    const result = connection.client.predict(command, args, this.now, options);
    if ('rejected' in result) return result.rejected;
    this.#toManager(connection, result.frames);
    return undefined;
  }

  /** Lets time go by in steps of 50 ms, everybody ticking. */
  run(milliseconds: number): void {
    for (let passed = 0; passed < milliseconds; passed += 50) {
      this.now += 50 * MILLISECOND;
      this.#deliver();
      this.#fromManager(this.manager.tick(this.now));
      for (const [name, connection] of this.#connections) {
        this.#toManager(connection, connection.client.tick(this.now));
        // A client that says that its connection has ended wants it closed.
        if (connection.client.phase === 'closed') this.cut(name);
      }
    }
  }

  /** A frame straight to the manager, as from a client's link or a stranger's. */
  inject(link: LinkId, frame: Uint8Array): Outgoing[] {
    return this.manager.receive(link, frame, this.now);
  }

  link(name: string): LinkId {
    const { link } = this.#connection(name);
    if (link === undefined) throw new Error(`${name} is not connected`);
    return link;
  }

  #connection(name: string): Connection {
    const connection = this.#connections.get(name);
    if (!connection) throw new Error(`there is no client ${name}`);
    return connection;
  }

  #toManager(connection: Connection, frames: readonly Uint8Array[]): void {
    const { link } = connection;
    // What was sent before a cut stays unsent.
    if (link === undefined) return;
    for (const frame of frames) {
      for (const arriving of this.fate(frame, 'manager')) this.#put(link, 'manager', { frame: arriving });
    }
    this.#deliver();
  }

  #fromManager(outgoing: readonly Outgoing[]): void {
    for (const one of perLink(outgoing)) {
      if ('close' in one) {
        this.#put(one.link, 'client', { close: one.close });
        continue;
      }
      for (const frame of this.fate(one.frame, 'client')) this.#put(one.link, 'client', { frame });
    }
    this.#deliver();
  }

  #put(link: LinkId, to: 'client' | 'manager', what: Travelling['what']): void {
    const before = this.#travelling.findLast((one) => one.link === link && one.to === to)?.due ?? 0;
    this.#travelling.push({ link, to, due: Math.max(before, this.now + this.latency()), what });
  }

  /** Delivers what is due, and what that brings about. */
  #deliver(): void {
    if (this.#isDelivering) return;
    this.#isDelivering = true;
    for (;;) {
      const index = this.#travelling.findIndex(({ due }) => due <= this.now);
      const [arrived] = index === -1 ? [] : this.#travelling.splice(index, 1);
      if (!arrived) break;
      const connection = [...this.#connections.values()].find(({ link }) => link === arrived.link);
      if ('close' in arrived.what) this.closes.push(arrived.what.close);
      if (connection) this.#arrive(connection, arrived);
    }
    this.#isDelivering = false;
  }

  #arrive(connection: Connection, { link, to, what }: Travelling): void {
    if ('close' in what) {
      connection.link = undefined;
      connection.client.closed(what.close, this.now);
    } else if (to === 'client') {
      this.#toManager(connection, connection.client.receive(what.frame, this.now));
    } else {
      this.#fromManager(this.manager.receive(link, what.frame, this.now));
    }
  }
}
