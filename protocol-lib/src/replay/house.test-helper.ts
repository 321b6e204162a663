import { milliseconds } from '../ports/index.ts';
import { recordKey, replicaId, type Value } from '../state/index.ts';
import { type ClientState, type Outgoing, perLink, type SessionDefinition } from '../sync/index.ts';
import { TraceHub } from '../trace/index.ts';
import { JournaledClient, JournaledManager } from './journaled.ts';
import { LiveJournal } from './live-journal.ts';
import type { PlayClient } from './play-types.ts';

export const AUTHORITY = replicaId('server');
export const BOX = recordKey('box/one');
export const STEP = milliseconds(20);

/** A box of things: whoever takes the last of them leaves none for others. `each` is what one `put` puts in. */
export function boxes(each = 1): SessionDefinition {
  const happened = (type: string, player: string) => ({
    accepted: true as const,
    events: [{ type, player, detail: '' }],
  });
  return {
    name: 'boxes',
    initialRecords: () => [[BOX, { things: 2, last: 'nobody' }]],
    commands: {
      put: (_, __, writer) => happened('PUT', writer),
      take: (state, _, writer) =>
        Number(state.get(BOX)?.things) > 0 ? happened('TOOK', writer) : { accepted: false, reason: 'it is empty' },
    },
    reduce: (state, { type, player }) => {
      const things = Number(state.get(BOX)?.things) + (type === 'PUT' ? each : -1);
      return [{ op: 'patch', key: BOX, fields: { things, last: player }, removed: [] }];
    },
  };
}

/** An authority and clients in one process, with frames that take no time. */
export class House {
  now = milliseconds(1_000);
  readonly hub = new TraceHub({ now: () => this.now });
  readonly journal = new LiveJournal(this.hub, AUTHORITY);
  readonly manager: JournaledManager;
  readonly clients: { link: number; readonly state: ClientState; isOpen: boolean }[] = [];
  /** Whether commands come to the authority. */
  isDeaf = false;
  /** Clients whose frames come to the authority so many steps late. */
  readonly late = new Map<string, number>();
  #underway: { readonly link: number; readonly frame: Uint8Array; readonly at: number }[] = [];
  readonly #definition: SessionDefinition;
  #links = 0;

  constructor(definition: SessionDefinition) {
    this.#definition = definition;
    const options = {
      ...{
        definition,
        replica: AUTHORITY,
        session: 'boxes',
        random: { next: () => 0.5 },
        now: this.now,
        incarnation: 1,
      },
      tap: this.hub,
    };
    this.manager = new JournaledManager(options, this.journal);
  }

  join(name: string, definition = this.#definition): PlayClient & { readonly state: ClientState } {
    const replica = replicaId(name);
    const state = new JournaledClient(
      { definition, replica, session: 'boxes', token: '', tap: this.hub },
      this.journal,
      this.now,
    );
    // Who comes again is another, and the one before is no more.
    const before = this.clients.findIndex((one) => one.state.replica === replica);
    if (before >= 0) this.clients.splice(before, 1);
    const client = { link: ++this.#links, state, isOpen: true };
    this.clients.push(client);
    this.manager.connect(client.link, this.now);
    this.#up(client.link, state.open(this.now));
    return {
      state,
      get lost() {
        return client.isOpen ? undefined : 'it was cut';
      },
      send: (command: string, args: Value) => {
        const result = state.predict(command, args, this.now, { unchecked: true });
        if ('frames' in result) this.#up(client.link, result.frames);
        return result;
      },
      breakOff: () => this.#cut(client),
      comeBack: () => {
        client.link = ++this.#links;
        client.isOpen = true;
        this.manager.connect(client.link, this.now);
        this.#up(client.link, state.open(this.now));
      },
      leave: () => this.#up(client.link, state.close('bye')),
    };
  }

  cut(): void {
    for (const client of this.clients) this.#cut(client);
  }

  #cut(client: House['clients'][number]): void {
    client.isOpen = false;
    client.state.closed('it was cut', this.now);
    this.manager.disconnect(client.link, 'it was cut', this.now);
  }

  /** A step of time. */
  step(): void {
    this.now += STEP;
    const due = this.#underway.filter(({ at }) => at <= this.now);
    this.#underway = this.#underway.filter(({ at }) => at > this.now);
    for (const { link, frame } of due) this.#down(this.manager.receive(link, frame, this.now));
    this.#down(this.manager.tick(this.now));
    for (const { link, state, isOpen } of this.clients) if (isOpen) this.#up(link, state.tick(this.now));
  }

  #up(link: number, frames: readonly Uint8Array[]): void {
    if (this.isDeaf) return;
    const client = this.clients.find((one) => one.link === link);
    const steps = this.late.get(client?.state.replica ?? '') ?? 0;
    for (const frame of frames) {
      if (steps > 0) this.#underway.push({ link, frame, at: this.now + steps * STEP });
      else this.#down(this.manager.receive(link, frame, this.now));
    }
  }

  #down(outgoing: readonly Outgoing[]): void {
    for (const out of perLink(outgoing)) {
      const client = this.clients.find(({ link }) => link === out.link);
      if (client?.isOpen && 'frame' in out) this.#up(client.link, client.state.receive(out.frame, this.now));
    }
  }
}
