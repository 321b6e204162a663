import { KIND } from './envelope.ts';
import { OpenSends, Receipts } from './link-queues.ts';

/** One direction between two replicas. */
export interface Link {
  readonly open: OpenSends;
  readonly received: Receipts;
  highestReceived: number;
  /** Position of the receipt of that sequence. */
  highestPosition: number;
}

/** What a receipt belongs to, as positions; -1 for nothing. */
export interface Receipt {
  readonly sent: number;
  /** The first receipt of the same frame. */
  readonly earlier: number;
  readonly isLate: boolean;
}

/** Puts sends and receipts together by sender, receiver and sequence. */
export class Links {
  readonly #links = new Map<number, Link>();

  takeSend(sender: number, receiver: number, sequence: number, position: number): void {
    this.#link(sender, receiver).open.add(sequence, position);
  }

  takeReceipt(sender: number, receiver: number, sequence: number, position: number): Receipt {
    const link = this.#link(sender, receiver);
    const sent = link.open.take(sequence);
    if (sequence > link.highestReceived) {
      link.highestReceived = sequence;
      link.highestPosition = position;
      link.received.add(sequence, position);
      return { sent, earlier: -1, isLate: false };
    }
    const earlier = link.received.find(sequence);
    if (earlier < 0) link.received.add(sequence, position);
    return { sent, earlier, isLate: earlier < 0 };
  }

  /** The link of a send or receipt, by its columns. */
  of(kind: number, high: number): Link | undefined {
    if (kind !== KIND.send) return undefined;
    return this.#links.get(linkKey(high & 0xffff, high >>> 16));
  }

  /** Every link's figures, flat: key, highest sequence received, position of that receipt. */
  figures(): number[] {
    return Array.from(this.#links, ([key, link]) => [key, link.highestReceived, link.highestPosition]).flat();
  }

  restore(figures: readonly number[]): void {
    for (let at = 0; at + 2 < figures.length; at += 3) {
      const link = this.#linkOf(figures[at]!);
      link.highestReceived = figures[at + 1]!;
      link.highestPosition = figures[at + 2]!;
    }
  }

  #link(sender: number, receiver: number): Link {
    return this.#linkOf(linkKey(sender, receiver));
  }

  #linkOf(key: number): Link {
    let link = this.#links.get(key);
    if (!link) {
      link = { open: new OpenSends(), received: new Receipts(), highestReceived: -1, highestPosition: -1 };
      this.#links.set(key, link);
    }
    return link;
  }
}

function linkKey(sender: number, receiver: number): number {
  return sender * 65_536 + receiver;
}
