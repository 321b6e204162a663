import { SyncError } from '../errors/index.ts';
import {
  type Feature,
  type MessageOf,
  negotiateFeatures,
  negotiateProtocol,
  type ProtocolRange,
} from '../messages/index.ts';
import type { ReplicaId, Version } from '../state/index.ts';
import type { Tap } from '../trace/index.ts';
import type { AuthorityState } from './authority-state.ts';
import { type Connections, type Link, protocolError } from './connections.ts';
import type { DeltaSynchronizer } from './delta-synchronizer.ts';
import { LinkQueue } from './link-queue.ts';
import type { Outbox } from './outbox.ts';
import { acknowledgeRule, type SyncSettings } from './settings.ts';
import type { Moment } from './settlement.ts';

/** What {@link Handshake} needs of its manager. */
export interface HandshakeParts {
  readonly session: string;
  readonly replica: ReplicaId;
  readonly features: readonly Feature[];
  readonly protocols: ProtocolRange;
  readonly settings: SyncSettings;
  readonly state: AuthorityState;
  readonly connections: Connections;
  readonly synchronizer: DeltaSynchronizer;
  readonly outbox: Outbox;
  readonly tap: Tap;
  authorize(token: string, replica: ReplicaId): boolean;
  moment(seen: Version, now: number): Moment;
}

/** An authority's side of HELLO and WELCOME: who is let in, and from where it goes on. */
export class Handshake {
  readonly #parts: HandshakeParts;
  /** Links of which a HELLO waits. */
  readonly #ahead = new Set<Link>();

  constructor(parts: HandshakeParts) {
    this.#parts = parts;
  }

  /** A link has said HELLO, which is record `seq` of the trace. */
  onHello(link: Link, hello: MessageOf<'HELLO'>, seq: number, now: number): void {
    const { connections, state, synchronizer, settings } = this.#parts;
    const refusal = this.#refusal(link, hello);
    if (refusal) {
      connections.refuse(link.id, refusal, [seq]);
      return;
    }
    if (this.#isAhead(link, hello, now)) {
      link.ahead = { hello, seq };
      this.#ahead.add(link);
      return;
    }
    link.ahead = undefined;
    this.#ahead.delete(link);
    const protocol = negotiateProtocol(hello.protocolMin, hello.protocolMax, this.#parts.protocols);
    if (protocol === undefined) throw new TypeError('a HELLO whose versions do not meet ours was decoded');
    connections.replace(hello.replica);
    const { resume } = hello;
    // A version of another life is another state, even where the two have one hash: the ledgers differ.
    const isOurs = resume?.incarnation === state.incarnation;
    const base = resume && isOurs ? state.snapshot(resume.version) : undefined;
    const receiver = { link: link.id, replica: hello.replica, bytes: 0, queue: new LinkQueue(settings) };
    const client = synchronizer.admit(receiver, negotiateFeatures(this.#parts.features, hello.features), seq, now);
    link.client = client;
    // An authority that has lost what it knew of this writer takes up where the writer is.
    if (hello.next > 1) state.adopt(hello.replica, hello.next - 1, this.#parts.moment(resume?.version ?? 0, now));
    this.#welcome(link, hello, protocol, base !== undefined, seq);
    connections.admit(client);
    if (base && resume) synchronizer.resume(client, resume, base, now);
    synchronizer.sync([client], now);
  }

  #welcome({ client }: Link, hello: MessageOf<'HELLO'>, protocol: number, resumed: boolean, seq: number): void {
    if (!client) return;
    const { session, replica: authority, settings, state, outbox, tap } = this.#parts;
    if (tap.isOpen) tap.emit(client.replica, { kind: 'replica', role: hello.role ?? 'client' }, [seq]);
    const welcome = {
      protocol,
      features: [...client.features],
      session,
      replica: hello.replica,
      authority,
      durability: state.durability,
      syncInterval: settings.syncInterval,
      resumed,
      incarnation: state.incarnation,
      acknowledge: acknowledgeRule(settings),
    };
    outbox.send([client], { type: 'WELCOME', ...welcome }, [seq]);
    outbox.sendNames(client, [seq]);
  }

  /**
   * Whether a client was told of more than has come here from a log that is shared. It waits for that, so that nothing goes back for
   * it; not for ever, since the session may have lost it.
   */
  #isAhead(link: Link, { replica, resume, next }: MessageOf<'HELLO'>, now: number): boolean {
    const { state, settings } = this.#parts;
    if (!state.isShared || now - link.since >= settings.helloTimeout / 2) return false;
    return (resume?.version ?? 0) > state.version || next - 1 > state.ledger.settled(replica);
  }

  /** Looks again at those whose HELLO had to wait for the log. */
  greetAgain(now: number): void {
    if (this.#ahead.size === 0) return;
    for (const link of [...this.#ahead]) {
      if (this.#parts.connections.links.get(link.id) !== link) this.#ahead.delete(link);
      else if (link.ahead) this.onHello(link, link.ahead.hello, link.ahead.seq, now);
    }
  }

  /** What the app's own code says: only a plain yes lets anybody in, not a promise of one. What it throws may hold the token, and is not told. */
  #isAuthorized({ token, replica }: MessageOf<'HELLO'>): boolean {
    try {
      return this.#parts.authorize(token, replica) === true;
    } catch {
      this.#parts.connections.log('error', `authorize failed for ${replica}`, []);
      return false;
    }
  }

  #refusal(link: Link, hello: MessageOf<'HELLO'>): SyncError | undefined {
    const { session, replica, settings, connections } = this.#parts;
    const { clients } = connections;
    const { ledger } = this.#parts.state;
    if (link.client) return protocolError('HELLO_DUPLICATE', 'this connection has said HELLO before');
    if (hello.session !== session) {
      return protocolError('SESSION_UNKNOWN', `this is session ${JSON.stringify(session)}`);
    }
    if (!this.#isAuthorized(hello)) return protocolError('TOKEN_REJECTED', 'the token does not let you in');
    if (hello.replica === replica) return protocolError('REPLICA_TAKEN', `${replica} is the authority's name`);
    const isKnown = clients.has(hello.replica);
    const isFull =
      (!isKnown && clients.size >= settings.maxClients) ||
      (!ledger.has(hello.replica) && ledger.size >= settings.maxWriters);
    if (!isFull) return undefined;
    return new SyncError('SERVER_FULL', 'the session has as many clients as it takes', {
      origin: 'protocol',
      retry: 'backoff',
    });
  }
}
