import type { CallParticipant } from '@syncscope/protocol/crdt';
import type { Random } from '@syncscope/protocol/ports';
import type { ReplicaId } from '@syncscope/protocol/state';

/** What somebody in a call sees of it. */
export interface CallView {
  readonly participants: readonly CallParticipant[];
  readonly isOver: boolean;
  /** Milliseconds since this call began, or was over, as known here. */
  readonly since: number;
}

export type CallWish =
  | { readonly wish: 'join' | 'leave' | 'hang-up' | 'call-again' }
  | { readonly wish: 'mute' | 'hold'; readonly isOn: boolean };

/** Milliseconds: nobody hangs up before that. */
const TALK_MS = 12_000;
const SILENCE_MS = 3_000;

/** Somebody like others: comes late, forgets to unmute, drops out and comes back, and at some time says that this is it for today. */
export class CallMind {
  readonly #self: ReplicaId;
  readonly #random: Random;

  constructor(self: ReplicaId, random: Random) {
    this.#self = self;
    this.#random = random;
  }

  /** Milliseconds until the next thought. */
  pause(): number {
    return 700 + this.#random.next() * 1_800;
  }

  think({ participants, isOver, since }: CallView): CallWish | undefined {
    if (isOver) return since > SILENCE_MS && this.#chance(0.4) ? { wish: 'call-again' } : undefined;
    const self = participants.find(({ replica }) => replica === this.#self);
    if (!self) return this.#chance(0.6) ? { wish: 'join' } : undefined;
    // Who holds the call or has the microphone off does not forget it for ever.
    if (self.isHeld) return this.#chance(0.5) ? { wish: 'hold', isOn: false } : undefined;
    if (self.isMuted && this.#chance(0.35)) return { wish: 'mute', isOn: false };
    if (since > TALK_MS && this.#chance(0.08)) return { wish: 'hang-up' };
    if (this.#chance(0.25)) return { wish: 'mute', isOn: !self.isMuted };
    if (this.#chance(0.08)) return { wish: 'hold', isOn: true };
    return this.#chance(0.04) ? { wish: 'leave' } : undefined;
  }

  #chance(probability: number): boolean {
    return this.#random.next() < probability;
  }
}
