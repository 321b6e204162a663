import type { Random } from '@syncscope/protocol/ports';
import type { ReplicaId } from '@syncscope/protocol/state';
import type { StateView } from '@syncscope/protocol/sync';
import { betOf, gameOf, MIDDLE, type Play, POOR, SPOTS, tokensOn } from './craps-rules.ts';

/** What a player knows beside the table. */
export interface Circumstances {
  readonly isShooterHere: boolean;
  /** What this player would reveal with its next roll; absent once its chain is used up. */
  readonly link: string | undefined;
  /** Whether what is done now waits for the majority. */
  readonly isTentative: boolean;
}

/**
 * A player like others: thinks for a while, bets what it can afford and sometimes more, throws when it has the dice, snatches the chip in the
 * middle like everybody else, and gives to who has nothing.
 */
export class CrapsMind {
  readonly #self: ReplicaId;
  readonly #members: readonly ReplicaId[];
  readonly #random: Random;
  /** In which round it found that it cannot bet more. */
  #isDone = -1;

  constructor(self: ReplicaId, members: readonly ReplicaId[], random: Random) {
    this.#self = self;
    this.#members = members;
    this.#random = random;
  }

  get standing(): number {
    return this.#isDone;
  }

  resume(isDone: number): void {
    this.#isDone = isDone;
  }

  /** Milliseconds until the next thought. */
  pause(): number {
    return this.#chance(0.1) ? 1_000 + this.#random.next() * 1_500 : 300 + this.#random.next() * 600;
  }

  /** How soon it wants to think because of what happened: a chip in the middle, or dice that fell, wake everybody at once. */
  startle(view: StateView, play: Play | undefined): number | undefined {
    if (play?.play !== 'roll') return undefined;
    const isChip = tokensOn(view, MIDDLE) > 0;
    return isChip || gameOf(view).phase === 'come-out' ? 40 + this.#random.next() * 60 : undefined;
  }

  refused(play: Play): void {
    if (play.play === 'bet') this.#isDone = 0;
  }

  think(view: StateView, { isShooterHere, link, isTentative }: Circumstances): Play | undefined {
    const game = gameOf(view);
    const tokens = tokensOn(view, this.#self);
    if (tokensOn(view, MIDDLE) > 0 && this.#chance(0.6)) return { play: 'take-chip' };
    const hasBet = SPOTS.some((spot) => betOf(view, this.#self, spot) > 0);
    if (!isTentative && tokens < POOR && !hasBet) return { play: 'loan' };
    if (!isTentative && !isShooterHere && this.#chance(0.3)) return { play: 'take-dice' };
    if (game.phase === 'come-out' && !hasBet && this.#isDone !== game.round && this.#chance(0.8)) {
      return this.#bet(tokens, game.round);
    }
    if (!isTentative && this.#isTurn(view) && link !== undefined) return { play: 'roll', link };
    // Without the others there is not much else to do.
    return this.#chance(isTentative ? 0.5 : 0.12) ? this.#gift(view, tokens) : undefined;
  }

  #bet(tokens: number, round: number): Play {
    this.#isDone = round;
    const spot = this.#chance(0.65) ? 'pass' : 'dont-pass';
    // Now and then more than it has: one hopes that nobody looks.
    if (this.#chance(0.08)) return { play: 'bet', spot, tokens: tokens + 10 };
    const most = Math.max(1, Math.min(30, Math.floor(tokens / 2)));
    return { play: 'bet', spot, tokens: 1 + Math.floor(this.#random.next() * most) };
  }

  /** The dice are thrown once somebody has bet, and not at once. */
  #isTurn(view: StateView): boolean {
    const game = gameOf(view);
    const isBet = !view.entries('bet/')[Symbol.iterator]().next().done;
    return game.shooter === this.#self && isBet && this.#chance(game.phase === 'point' ? 0.9 : 0.6);
  }

  #gift(view: StateView, tokens: number): Play | undefined {
    if (tokens < 10) return undefined;
    const others = this.#members.filter((one) => one !== this.#self);
    const poorest = others.sort((a, b) => tokensOn(view, a) - tokensOn(view, b) || (a < b ? -1 : 1))[0];
    return poorest && { play: 'transfer', to: poorest, tokens: 1 + Math.floor(this.#random.next() * 5) };
  }

  #chance(probability: number): boolean {
    return this.#random.next() < probability;
  }
}
