import { type EventLog, encodeEntry } from '../events/index.ts';
import { fitText } from '../schema/index.ts';
import type { Change, ReplicaId, Value, Version } from '../state/index.ts';
import {
  ClientState,
  type ClientStateOptions,
  type LinkId,
  type Outgoing,
  type PostedAuthority,
  type PredictResult,
  SyncManager,
  type SyncManagerOptions,
} from '../sync/index.ts';
import type { MutationId } from '../trace/index.ts';
import { argumentText } from './arguments.ts';
import type { Input, InputOf } from './inputs.ts';
import type { LiveJournal } from './live-journal.ts';

const REASON_MAX = 500;

type Queues = Pick<InputOf<'queues'>, 'op' | 'links' | 'bytes'> | Pick<InputOf<'queuesAgain'>, 'op' | 'of'>;

/** How much waits in the links of one moment. Mostly nothing, in the same links as the time before. */
class QueuesTold {
  #before: readonly LinkId[] = [];
  /** So many are as before; the rest, where there is one, is in the lists with them. */
  #same = 0;
  #links: LinkId[] | undefined;
  #bytes: number[] = [];

  told(link: LinkId, bytes: number): void {
    if (this.#links === undefined && bytes === 0 && this.#before[this.#same] === link) {
      this.#same++;
      return;
    }
    this.#links ??= this.#before.slice(0, this.#same);
    this.#bytes[this.#links.length] = bytes;
    this.#links.push(link);
  }

  /** What was told since this was asked last. */
  take(): Queues | undefined {
    const links = this.#links;
    const of = this.#same;
    const bytes = links?.map((_, at) => this.#bytes[at] ?? 0) ?? [];
    this.#same = 0;
    this.#links = undefined;
    this.#bytes = [];
    if (links === undefined) return of > 0 ? { op: 'queuesAgain', of } : undefined;
    this.#before = links;
    return { op: 'queues', links, bytes };
  }

  forget(): void {
    this.take();
    this.#before = [];
  }
}

/**
 * An authority whose inputs are written into the trace while somebody listens, so that what is recorded of it can be run again, from the moment on at which the
 * recording began. Where nobody listens, that costs one branch a call.
 */
export class JournaledManager extends SyncManager {
  readonly #journal: LiveJournal;
  /** {@link SyncManager.posted} with its inputs written as well. */
  readonly posting: PostedAuthority;
  #told = 0;
  /** As far as the trace says that the log has become durable. */
  #durable = -1;
  #wantsBeginning = false;
  readonly #queues = new QueuesTold();
  readonly #log: SyncManagerOptions['log'];

  constructor(options: SyncManagerOptions, journal: LiveJournal) {
    super(options);
    this.#journal = journal;
    this.#log = options.log;
    this.#told = options.now;
    this.posting = this.#posting();
  }

  override describe(): void {
    // While it is being made, it is asked for by its own constructor.
    if (!(#journal in this) || !this.#journal.isOpen) {
      super.describe();
      return;
    }
    this.#tellQueues();
    this.#journal.flush();
    const now = this.#told;
    // A recording that begins here has heard of no links.
    this.#queues.forget();
    if (this.#journal.hasBegun(this)) {
      this.#journal.run({ op: 'describe', replica: this.replica, now }, () => super.describe());
    } else {
      this.#journal.aside(() => super.describe());
    }
    this.#begin();
  }

  /** Says where it stands, right behind its description; once more later where that cannot be said now. */
  #begin(): void {
    const { standing } = this;
    this.#wantsBeginning = standing === undefined;
    if (!standing) return;
    this.#durable = standing.state.log?.taken ?? -1;
    this.#journal.begin(this, { op: 'authorityStands', replica: this.replica, now: this.#told, standing });
  }

  override connect(link: LinkId, now: number): void {
    if (!this.#journal.isOpen) super.connect(link, now);
    else this.#write({ op: 'connect', ...this.#head(now), link }, () => super.connect(link, now));
  }

  override disconnect(link: LinkId, reason: string, now: number): void {
    if (!this.#journal.isOpen) super.disconnect(link, reason, now);
    else {
      const said = fitText(reason, REASON_MAX);
      this.#write({ op: 'disconnect', ...this.#head(now), link, reason: said }, () =>
        super.disconnect(link, reason, now),
      );
    }
  }

  override receive(link: LinkId, frame: Uint8Array, now: number): Outgoing[] {
    if (!this.#journal.isOpen) return super.receive(link, frame, now);
    this.#came(now);
    return this.#write({ op: 'arrival', replica: this.replica, now, link }, () => super.receive(link, frame, now));
  }

  override queued(link: LinkId, bytes: number, now: number): void {
    super.queued(link, bytes, now);
    if (!this.#journal.isOpen) return;
    if (now !== this.#told) this.#tellQueues();
    this.#told = now;
    this.#queues.told(link, bytes);
  }

  /** Written with whatever it does next: what waits in its links changes nothing before. */
  #tellQueues(): void {
    const told = this.#queues.take();
    if (!told || !this.#journal.hasBegun(this)) return;
    this.#journal.run({ ...told, replica: this.replica, now: this.#told }, () => undefined);
  }

  override mutate(command: string, args: Value, now: number): ReturnType<SyncManager['mutate']> {
    if (!this.#journal.isOpen) return super.mutate(command, args, now);
    this.#came(now);
    const input: Input = { op: 'mutate', replica: this.replica, now, command, args: argumentText(args) };
    return this.#write(input, () => super.mutate(command, args, now));
  }

  override tick(now: number): Outgoing[] {
    if (!this.#journal.isOpen) return super.tick(now);
    return this.#write({ op: 'tick', ...this.#head(now) }, () => super.tick(now));
  }

  override flush(now: number): Outgoing[] {
    if (!this.#journal.isOpen) return super.flush(now);
    return this.#write({ op: 'flush', ...this.#head(now) }, () => super.flush(now));
  }

  override stop(reason: string, reconnect?: number): Outgoing[] {
    if (!this.#journal.isOpen) return super.stop(reason, reconnect);
    const hint = reconnect === undefined ? {} : { reconnect };
    const input: Input = { op: 'stop', ...this.#head(this.#told), reason, ...hint };
    return this.#write(input, () => super.stop(reason, reconnect));
  }

  #head(now: number): { readonly replica: ReplicaId; readonly now: number } {
    this.#came(now);
    return { replica: this.replica, now };
  }

  /** An input comes. */
  #came(now: number): void {
    this.#tellQueues();
    this.#told = now;
  }

  #write<T>(input: Input, work: () => T): T {
    if (this.#journal.hasBegun(this)) {
      this.#noteDurable(input.now);
      return this.#journal.run(input, work);
    }
    const result = this.#journal.aside(work);
    // The state has to stand right before it.
    if (this.#wantsBeginning && this.standing) this.describe();
    return result;
  }

  /** What has become durable meanwhile is looked at by the authority with whatever it does next. */
  #noteDurable(now: number): void {
    const log = this.#log;
    if (!log || (log.durable === this.#durable && !log.failure)) return;
    const before = this.#durable;
    this.#durable = log.durable;
    const failure = log.failure ? { failure: fitText(log.failure.message, 2_000) } : {};
    const head = { replica: this.replica, now, ...failure };
    const input: Input = log.isShared
      ? { op: 'agreed', ...head, entries: agreedSince(log, before) }
      : { op: 'durable', ...head, durable: log.durable };
    this.#journal.run(input, () => undefined);
  }

  /** What changes something is an input; the rest is asked of {@link SyncManager.posted} as it is. */
  #posting(): PostedAuthority {
    const { posted } = this;
    const open = (): boolean => this.#journal.isOpen;
    const head = (now: number) => this.#head(now);
    return {
      get session() {
        return posted.session;
      },
      get authority() {
        return posted.authority;
      },
      get point() {
        return posted.point;
      },
      get head() {
        return posted.head;
      },
      admission: (writer) => posted.admission(writer),
      settled: (writer) => posted.settled(writer),
      decided: (writer) => posted.decided(writer),
      refusal: (mutation) => posted.refusal(mutation),
      takeReturned: () => posted.takeReturned(),
      rootAt: (version, replica) => posted.rootAt(version, replica),
      get: (key, replica) => posted.get(key, replica),
      rootFor: (replica) => posted.rootFor(replica),
      deltaFrom: (point, replica) => posted.deltaFrom(point, replica),
      fullSync: (replica) => posted.fullSync(replica),
      adopt: (writer, counter, seen, now) => {
        if (!open()) posted.adopt(writer, counter, seen, now);
        else {
          this.#write({ op: 'adopt', ...head(now), writer, counter, seen }, () =>
            posted.adopt(writer, counter, seen, now),
          );
        }
      },
      settle: (mutation: MutationId, command: string, args: Value, seen: Version, now: number) => {
        if (!open()) return posted.settle(mutation, command, args, seen, now);
        const input: Input = { op: 'settle', ...head(now), ...mutation, seen, command, args: argumentText(args) };
        return this.#write(input, () => posted.settle(mutation, command, args, seen, now));
      },
      refuse: (mutation, command, reason, seen, now) => {
        if (!open()) posted.refuse(mutation, command, reason, seen, now);
        else {
          this.#write({ op: 'refuse', ...head(now), ...mutation, seen, command, reason }, () =>
            posted.refuse(mutation, command, reason, seen, now),
          );
        }
      },
      follow: (now) => {
        if (!open()) posted.follow(now);
        else this.#write({ op: 'follow', ...head(now) }, () => posted.follow(now));
      },
      keep: () => {
        if (!open()) posted.keep();
        else this.#write({ op: 'keep', ...head(this.#told) }, () => posted.keep());
      },
    };
  }
}

/** Entries that a log has let go of meanwhile are missed when it is run again: being recorded never harms a session. */
function agreedSince(log: EventLog, before: number): Uint8Array[] {
  const after = Math.max(before, log.base);
  return log.read(after, log.durable - after).map(encodeEntry);
}

/** A client whose inputs are written into the trace while somebody listens, as those of a {@link JournaledManager} are. */
export class JournaledClient extends ClientState {
  readonly #journal: LiveJournal;
  #told: number;
  #wantsBeginning = false;

  /** `now` is the time at which it begins. */
  constructor(options: ClientStateOptions, journal: LiveJournal, now: number) {
    super(options);
    this.#journal = journal;
    this.#told = now;
    // One that begins while somebody listens has nothing before it.
    if (journal.isOpen) this.#begin(true);
  }

  override describe(): void {
    if (!this.#journal.isOpen) {
      super.describe();
      return;
    }
    this.#journal.flush();
    if (this.#journal.hasBegun(this)) {
      this.#journal.run({ op: 'describe', ...this.#head(this.#told) }, () => super.describe());
    } else {
      this.#journal.aside(() => super.describe());
    }
    this.#begin(false);
  }

  /** Says where it stands, right behind its description; once more later where that cannot be said now. */
  #begin(isNew: boolean): void {
    const { standing } = this;
    this.#wantsBeginning = standing === undefined;
    if (standing) this.#journal.begin(this, { op: 'clientStands', ...this.#head(this.#told), standing, isNew });
  }

  override open(now: number): Uint8Array[] {
    if (!this.#journal.isOpen) return super.open(now);
    return this.#write({ op: 'open', ...this.#head(now), link: 0 }, () => super.open(now));
  }

  override receive(frame: Uint8Array, now: number): Uint8Array[] {
    if (!this.#journal.isOpen) return super.receive(frame, now);
    return this.#write({ op: 'delivery', ...this.#head(now), link: 0 }, () => super.receive(frame, now));
  }

  override predict(
    command: string,
    args: Value,
    now: number,
    options: { readonly unchecked?: boolean } = {},
  ): PredictResult {
    if (!this.#journal.isOpen) return super.predict(command, args, now, options);
    const { unchecked = false } = options;
    const input: Input = { op: 'predict', ...this.#head(now), command, args: argumentText(args), unchecked };
    return this.#write(input, () => super.predict(command, args, now, options));
  }

  override tick(now: number): Uint8Array[] {
    if (!this.#journal.isOpen) return super.tick(now);
    return this.#write({ op: 'tick', ...this.#head(now) }, () => super.tick(now));
  }

  override close(reason: string): Uint8Array[] {
    if (!this.#journal.isOpen) return super.close(reason);
    return this.#write({ op: 'close', ...this.#head(this.#told), reason }, () => super.close(reason));
  }

  override closed(reason: string, now: number): void {
    if (!this.#journal.isOpen) super.closed(reason, now);
    else {
      const said = fitText(reason, REASON_MAX);
      this.#write({ op: 'closed', ...this.#head(now), reason: said }, () => super.closed(reason, now));
    }
  }

  override corruptCommitted(changes: readonly Change[]): void {
    if (!this.#journal.isOpen) super.corruptCommitted(changes);
    else {
      const input: Input = { op: 'corrupt', ...this.#head(this.#told), changes: [...changes] };
      this.#write(input, () => super.corruptCommitted(changes));
    }
  }

  #head(now: number): { readonly replica: ReplicaId; readonly now: number } {
    this.#told = now;
    return { replica: this.replica, now };
  }

  #write<T>(input: Input, work: () => T): T {
    if (this.#journal.hasBegun(this)) return this.#journal.run(input, work);
    const result = this.#journal.aside(work);
    if (this.#wantsBeginning && this.standing) this.describe();
    return result;
  }
}
