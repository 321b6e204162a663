import type { MutationId } from '../trace/index.ts';
import type { AuthorityState } from './authority-state.ts';
import type { Connections } from './connections.ts';
import type { Client } from './delta-synchronizer.ts';
import type { Outbox } from './outbox.ts';
import type { ReceiptBook } from './receipts.ts';
import type { DomainEvent } from './session.ts';
import { type Settled, shortEvent } from './settlement.ts';
import { hears } from './views.ts';

/** Tells clients at once how mutations ended and what happened; what that did to the state comes with the next delta. */
export class SettlementNews {
  readonly totals = { commits: 0, rejections: 0 };
  readonly #state: AuthorityState;
  readonly #connections: Connections;
  readonly #outbox: Outbox;
  readonly #receipts: ReceiptBook;

  constructor(state: AuthorityState, connections: Connections, outbox: Outbox, receipts: ReceiptBook) {
    this.#state = state;
    this.#connections = connections;
    this.#outbox = outbox;
    this.#receipts = receipts;
  }

  /** A mutation that was settled, and is durable. */
  tell(settled: Settled, now: number): void {
    const { mutation, settlement, progress, time, cause } = settled;
    const { version } = this.#state;
    this.#receipts.settle(settled, version);
    const client = this.#connections.clients.get(mutation.writer);
    client?.health.settled(progress, now);
    if (!settlement.accepted) {
      this.totals.rejections++;
      const { reason, seq } = settlement;
      const body = { counter: mutation.counter, reason, version };
      if (client) this.#outbox.send([client], { type: 'REJECT', ...body }, seq > 0 ? [seq] : cause);
      return;
    }
    this.totals.commits++;
    for (const event of settlement.events) {
      const told = this.#listeners(event);
      if (told.length === 0) continue;
      const body = { version: settlement.version, event: shortEvent(event), time };
      this.#outbox.send(told, { type: 'EVENT', ...body }, [settlement.seq]);
    }
  }

  /** A mutation that others came before too often. */
  tellGivenUp({ writer, counter }: MutationId): void {
    const client = this.#connections.clients.get(writer);
    const text = `others came before mutation ${counter} of ${writer} too often: send it again later`;
    if (client) this.#outbox.send([client], { type: 'ERROR', code: 'LOG_CONTENDED', message: text }, []);
    this.#connections.log('warn', text, []);
  }

  #listeners(event: DomainEvent): readonly Client[] {
    const { listeners } = this.#connections;
    return this.#state.hasViews ? listeners.filter((client) => this.#mayHear(client, event)) : listeners;
  }

  #mayHear({ replica }: Client, event: DomainEvent): boolean {
    const view = this.#state.viewFor(replica);
    return view === undefined || hears(view, event, replica);
  }
}
