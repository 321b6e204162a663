import { createHash } from 'node:crypto';

/**
 * Dice that nobody can load and nobody but the shooter can foresee. Each seat begins with a commitment: the end of a chain of hashes whose
 * beginning only its player knows. A roll reveals the link before the newest revealed one, which everybody can check against it,
 * and the dice are a hash over that link and the root of the state that is rolled on, bets included. So the shooter cannot choose
 * the link, the others cannot foresee it, and every member computes the same dice. What remains to a shooter is to wait: it knows what its
 * next link would come to on the table as it lies now, as long as nobody bets.
 */

/** Rolls that a seat can make: whoever has made them all passes the dice on. */
export const CHAIN_LENGTH = 4_096;
/** The largest byte that is fair: 252 is a multiple of 6. */
const FAIR = 252;

export function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

/** A player's chain. */
export class DiceChain {
  /** From the secret to the commitment. */
  readonly #links: string[];

  constructor(secret: string, length = CHAIN_LENGTH) {
    this.#links = [sha256(secret)];
    for (let at = 0; at < length; at++) this.#links.push(sha256(this.#links[at]!));
  }

  /** What everybody knows from the start. */
  get commitment(): string {
    return this.#links.at(-1)!;
  }

  /** The link to reveal after `revealed`; nothing once the chain is used up, or where that is no link of it. */
  before(revealed: string): string | undefined {
    const at = this.#links.indexOf(revealed);
    return at > 0 ? this.#links[at - 1] : undefined;
  }
}

/** Whether `link` comes right before `revealed` in a chain. */
export function isLinkBefore(link: string, revealed: string): boolean {
  return /^[0-9a-f]{64}$/.test(link) && sha256(link) === revealed;
}

/** Two dice, the same for everybody who has the same state. */
export function diceOf(link: string, root: string): readonly [number, number] {
  const dice: number[] = [];
  for (let draw = 0; dice.length < 2; draw++) {
    for (const byte of createHash('sha256').update(`${link} ${root} ${draw}`).digest()) {
      if (byte < FAIR && dice.length < 2) dice.push((byte % 6) + 1);
    }
  }
  return [dice[0]!, dice[1]!];
}
