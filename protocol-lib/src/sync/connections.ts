import { SyncError } from '../errors/index.ts';
import { FrameDecoder, type MessageOf, type ProtocolRange } from '../messages/index.ts';
import { fitText } from '../schema/index.ts';
import type { ReplicaId } from '../state/index.ts';
import type { Tap } from '../trace/index.ts';
import type { Client } from './delta-synchronizer.ts';
import { type LinkId, type Outbox, STRANGER } from './outbox.ts';

/** One connection, and whose it is once its HELLO was accepted. */
export interface Link {
  readonly id: LinkId;
  readonly since: number;
  readonly decoder: FrameDecoder;
  lastSequence: number;
  client: Client | undefined;
  /** A HELLO of somebody who knows more than is known here, until the log has told it. */
  ahead?: { readonly hello: MessageOf<'HELLO'>; readonly seq: number } | undefined;
}

/** Who is connected to an authority, and how connections end from its side: refused, replaced, or dropped because nobody reads. */
export class Connections {
  readonly links = new Map<LinkId, Link>();
  readonly clients = new Map<ReplicaId, Client>();
  readonly totals = { refused: 0, tooSlow: 0 };
  /** The clients, and those of them that understand events, until somebody comes or goes. */
  #list: readonly Client[] | undefined;
  #listeners: readonly Client[] | undefined;
  readonly #replica: ReplicaId;
  readonly #outbox: Outbox;
  readonly #tap: Tap;

  /** `replica` is the authority's own name. */
  constructor(replica: ReplicaId, outbox: Outbox, tap: Tap) {
    this.#replica = replica;
    this.#outbox = outbox;
    this.#tap = tap;
  }

  /** A connection was opened; it is nobody's yet. @throws RangeError where there is one of this number */
  open(id: LinkId, protocols: ProtocolRange, now: number): void {
    if (this.links.has(id)) throw new RangeError(`link ${id} is connected already`);
    const decoder = linkDecoder(protocols);
    this.links.set(id, { id, since: now, decoder, lastSequence: 0, client: undefined });
  }

  /** Its HELLO was accepted. */
  admit(client: Client): void {
    this.clients.set(client.replica, client);
    this.#changed();
  }

  #remove(client: Client): void {
    this.clients.delete(client.replica);
    this.#changed();
  }

  #changed(): void {
    this.#list = undefined;
    this.#listeners = undefined;
  }

  /** All clients in the order in which they came: the same list as long as they are the same, which a round goes through several times. */
  get list(): readonly Client[] {
    this.#list ??= [...this.clients.values()];
    return this.#list;
  }

  /** The clients that understand events: the same list as long as they are the same. */
  get listeners(): readonly Client[] {
    this.#listeners ??= this.list.filter(({ features }) => features.includes('events'));
    return this.#listeners;
  }

  /** A connection is gone, whoever closed it. */
  gone(id: LinkId, reason: string): void {
    const client = this.links.get(id)?.client;
    this.links.delete(id);
    if (!client || this.clients.get(client.replica) !== client) return;
    this.#remove(client);
    if (this.#tap.isOpen) this.#tap.emit(client.replica, { kind: 'gone', reason: fitText(reason, 500) });
  }

  close(id: LinkId, reason: string): void {
    this.#outbox.close(id, reason);
    this.gone(id, reason);
  }

  /** Says why, and closes the link. Nothing else changes. */
  refuse(id: LinkId, error: SyncError, cause: readonly number[]): void {
    const client = this.links.get(id)?.client;
    if (error.origin === 'protocol' && this.#tap.isOpen && cause.length > 0) {
      this.log('warn', `${client?.replica ?? STRANGER} was refused: ${error.code}`, cause);
    }
    this.totals.refused++;
    const body = { type: 'ERROR' as const, code: error.code, message: fitText(error.message, 2_000) };
    if (client) this.#outbox.send([client], body, cause);
    else this.#outbox.sendToStranger(id, body, cause);
    this.close(id, error.code);
  }

  /** The newer link of a replica wins: the older one may be dead without knowing. */
  replace(replica: ReplicaId): void {
    const older = this.clients.get(replica);
    if (!older) return;
    this.#outbox.send([older], { type: 'BYE', reason: 'replaced by a newer connection' }, []);
    this.#remove(older);
    this.close(older.link, 'replaced by a newer connection');
  }

  /** Refuses those that have not said HELLO after so many nanoseconds. */
  refuseSilent(timeout: number, now: number): void {
    // Each client has a link of its own: then there is none without.
    if (this.links.size === this.clients.size) return;
    for (const { id, client, since } of this.links.values()) {
      if (!client && now - since >= timeout) {
        this.refuse(id, protocolError('HELLO_TIMEOUT', 'no HELLO came in time'), []);
      }
    }
  }

  /** Drops readers of which nothing more can be hoped: they hold memory for nothing. Answers whether one has become slow, or has room again. */
  followQueues(now: number): boolean {
    let hasTurned = false;
    for (const client of this.list) {
      if (!client.queue.isWell && this.#followQueue(client, now)) hasTurned = true;
    }
    return hasTurned;
  }

  #followQueue(client: Client, now: number): boolean {
    const hasTurned = client.queue.hasTurned();
    if (hasTurned) this.#tracePressure(client, client.queue.isSlow ? 'slow' : 'relieved', '');
    const verdict = client.queue.verdict(now);
    if (verdict === undefined) return hasTurned;
    this.totals.tooSlow++;
    this.#tracePressure(client, 'dropped', verdict);
    this.close(client.link, `LINK_TOO_SLOW: ${verdict}`);
    return hasTurned;
  }

  #tracePressure({ replica, queue }: Client, state: 'slow' | 'relieved' | 'dropped', text: string): void {
    if (!this.#tap.isOpen) return;
    const { queued, droppedEvents, droppedAnswers, heldRounds } = queue.state;
    const counts = { queued, droppedEvents, droppedAnswers, heldRounds };
    this.#tap.emit(this.#replica, { kind: 'pressure', target: replica, state, ...counts, text });
  }

  log(level: 'debug' | 'warn' | 'error', text: string, cause: readonly number[]): void {
    if (this.#tap.isOpen) this.#tap.emit(this.#replica, { kind: 'log', level, text }, cause);
  }
}

/** Names that one client may announce: no message that an authority takes refers to any, so that they are only held. */
const CLIENT_NAMES = { names: 1_024, units: 64 * 1024 };

/** Of one client's frames. */
export function linkDecoder(protocols: ProtocolRange): FrameDecoder {
  return new FrameDecoder(protocols, CLIENT_NAMES);
}

export function protocolError(code: string, message: string): SyncError {
  return new SyncError(code, message, { origin: 'protocol' });
}
