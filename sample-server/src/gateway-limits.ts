import type { Refusal } from '@syncscope/protocol/node';

/** What the gateway takes, in all and from one address. */
export interface GatewayLimits {
  /** Connections at once. */
  readonly connections: number;
  /** Of them from one address. */
  readonly perAddress: number;
  /** Connections from one address that have not said a HELLO that was accepted. */
  readonly strangersPerAddress: number;
  /** Wrong tokens from one address in a minute, after which it is let in by the right one alone until the minute is over. */
  readonly wrongTokens: number;
  /** Frames that a client may send at once, and a second after that. */
  readonly frames: Rate;
  /** Requests to reconcile from one address. */
  readonly reconciles: Rate;
}

/** So many at once, and so many a second after that. */
export interface Rate {
  readonly burst: number;
  readonly perSecond: number;
}

export const GATEWAY_LIMITS: GatewayLimits = {
  connections: 2_000,
  perAddress: 1_500,
  strangersPerAddress: 100,
  wrongTokens: 10,
  frames: { burst: 500, perSecond: 250 },
  reconciles: { burst: 100, perSecond: 50 },
};

const SECOND_NS = 1e9;
const WRONG_TOKENS_WINDOW_NS = 60 * SECOND_NS;
/** Addresses of which wrong tokens are remembered; the oldest are forgotten. */
const ADDRESSES_MAX = 10_000;

interface Visitor {
  connections: number;
  strangers: number;
}

/** Counts who is connected from where, and who has shown wrong tokens. Times in nanoseconds. */
export class Doorkeeper {
  readonly #limits: GatewayLimits;
  readonly #now: () => number;
  readonly #visitors = new Map<string, Visitor>();
  readonly #wrong = new Map<string, { count: number; readonly until: number }>();
  readonly #reconciles = new Map<string, Allowance>();
  #connections = 0;

  constructor(limits: GatewayLimits, now: () => number) {
    this.#limits = limits;
    this.#now = now;
  }

  get connections(): number {
    return this.#connections;
  }

  /** Why nobody else is let in from an address now; undefined where somebody is. */
  refusal(address: string): Refusal | undefined {
    const { connections, perAddress, strangersPerAddress } = this.#limits;
    if (this.#connections >= connections) return full('the server has as many connections as it takes');
    const visitor = this.#visitors.get(address);
    if (visitor && visitor.connections >= perAddress) return full('this address has as many connections as it may');
    if (visitor && visitor.strangers >= strangersPerAddress)
      return full('too many connections of this address have not said HELLO');
    return undefined;
  }

  /** Why nobody without the right token is let in from an address now: too many wrong ones came from it. */
  blockedRefusal(address: string): Refusal | undefined {
    const blocked = this.#blockedFor(address);
    if (blocked === 0) return undefined;
    return {
      status: 429,
      code: 'TOKEN_ATTEMPTS',
      message: 'too many wrong tokens came from this address',
      fix: `Show the token that the server printed as Authorization: Bearer, or wait ${Math.ceil(blocked / SECOND_NS)} s.`,
    };
  }

  /** A connection was opened. The answer is what to call when its HELLO was accepted, and when it is gone. */
  opened(address: string): { greeted(): void; gone(): void } {
    const visitor = this.#visitors.get(address) ?? { connections: 0, strangers: 0 };
    this.#visitors.set(address, visitor);
    this.#connections++;
    visitor.connections++;
    visitor.strangers++;
    let isStranger = true;
    const greeted = (): void => {
      if (isStranger) visitor.strangers--;
      isStranger = false;
    };
    return {
      greeted,
      gone: () => {
        greeted();
        this.#connections--;
        visitor.connections--;
        if (visitor.connections === 0) this.#visitors.delete(address);
      },
    };
  }

  /** Why an address may not reconcile now. */
  reconcileRefusal(address: string): Refusal | undefined {
    const now = this.#now();
    let allowance = this.#reconciles.get(address);
    if (!allowance) {
      allowance = new Allowance(this.#limits.reconciles, now);
      this.#reconciles.set(address, allowance);
      forgetOldest(this.#reconciles);
    }
    if (allowance.take(now)) return undefined;
    const message = 'this address asks to reconcile too often';
    return {
      status: 429,
      code: 'RECONCILE_FLOOD',
      message,
      fix: 'Send more mutations at once, and wait between requests.',
    };
  }

  wrongToken(address: string): void {
    const now = this.#now();
    const known = this.#wrong.get(address);
    if (known && now < known.until) {
      known.count++;
      return;
    }
    this.#wrong.delete(address);
    this.#wrong.set(address, { count: 1, until: now + WRONG_TOKENS_WINDOW_NS });
    forgetOldest(this.#wrong);
  }

  /** Nanoseconds for which an address is refused because of its wrong tokens. */
  #blockedFor(address: string): number {
    const known = this.#wrong.get(address);
    return known && known.count >= this.#limits.wrongTokens ? Math.max(0, known.until - this.#now()) : 0;
  }
}

function forgetOldest(byAddress: Map<string, unknown>): void {
  const [oldest] = byAddress.keys();
  if (byAddress.size > ADDRESSES_MAX && oldest !== undefined) byAddress.delete(oldest);
}

function full(message: string): Refusal {
  return {
    status: 503,
    code: 'SERVER_FULL',
    message,
    fix: 'Close connections that are not needed, or try again later.',
  };
}

/** A bucket that fills steadily: how much may be done now. Times in nanoseconds. */
export class Allowance {
  readonly #limits: Rate;
  #left: number;
  #at: number;

  constructor(limits: Rate, now: number) {
    this.#limits = limits;
    this.#left = limits.burst;
    this.#at = now;
  }

  /** Takes one; false where there is none left. */
  take(now: number): boolean {
    const { burst, perSecond } = this.#limits;
    const earned = (Math.max(0, now - this.#at) / SECOND_NS) * perSecond;
    this.#at = now;
    this.#left = Math.min(burst, this.#left + earned);
    if (this.#left < 1) return false;
    this.#left--;
    return true;
  }
}
