import { KIND } from './envelope.ts';

const OPEN_MAX = 65_536;
const RECEIVED_MAX = 1_024;

/** One direction between two replicas. */
export interface Link {
  /** Sequence to position of sends without a receipt yet; the oldest forgotten beyond a limit. */
  readonly open: Map<number, number>;
  /** Sequence to position of the first receipt of the latest ones, for finding duplicates. */
  readonly received: Map<number, number>;
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
    const { open } = this.#link(sender, receiver);
    open.set(sequence, position);
    if (open.size > OPEN_MAX) open.delete(firstKey(open));
  }

  takeReceipt(sender: number, receiver: number, sequence: number, position: number): Receipt {
    const link = this.#link(sender, receiver);
    const sent = link.open.get(sequence) ?? -1;
    if (sent >= 0) link.open.delete(sequence);
    const earlier = link.received.get(sequence) ?? -1;
    if (earlier < 0) {
      link.received.set(sequence, position);
      if (link.received.size > RECEIVED_MAX) link.received.delete(firstKey(link.received));
    }
    if (sequence > link.highestReceived) {
      link.highestReceived = sequence;
      link.highestPosition = position;
      return { sent, earlier, isLate: false };
    }
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
      link = { open: new Map(), received: new Map(), highestReceived: -1, highestPosition: -1 };
      this.#links.set(key, link);
    }
    return link;
  }
}

function linkKey(sender: number, receiver: number): number {
  return sender * 65_536 + receiver;
}

function firstKey(map: Map<number, number>): number {
  return map.keys().next().value ?? -1;
}
