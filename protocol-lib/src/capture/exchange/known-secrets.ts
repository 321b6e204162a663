import type { Value } from '../../state/index.ts';

/** Shorter ones stand in other texts by chance. */
const MIN_LENGTH = 6;
/** Secrets that are looked for; of a capture with more of them, the first ones. */
const MAX_SECRETS = 100_000;

/** Texts that are known to be secret, so that they are found wherever else they stand. */
export class KnownSecrets {
  readonly #secrets = new Set<string>();
  /** How long those are that begin so, longest first: a text is gone through once, however many there are. */
  readonly #lengths = new Map<string, number[]>();

  /** All texts in a value that is secret. */
  learn(value: Value): void {
    if (typeof value === 'string') this.#add(value);
    else if (Array.isArray(value)) for (const one of value) this.learn(one);
    else if (typeof value === 'object' && value !== null && !(value instanceof Uint8Array)) {
      for (const one of Object.values(value as { readonly [name: string]: Value })) this.learn(one);
    }
  }

  #add(secret: string): void {
    if (secret.length < MIN_LENGTH || this.#secrets.size >= MAX_SECRETS || this.#secrets.has(secret)) return;
    this.#secrets.add(secret);
    const start = secret.slice(0, MIN_LENGTH);
    const lengths = this.#lengths.get(start) ?? [];
    if (lengths.includes(secret.length)) return;
    lengths.push(secret.length);
    lengths.sort((left, right) => right - left);
    this.#lengths.set(start, lengths);
  }

  /** The text with something else in the place of each. */
  replaced(text: string, instead: (secret: string) => string): string {
    if (this.#secrets.size === 0) return text;
    let result = '';
    let from = 0;
    for (let at = 0; at + MIN_LENGTH <= text.length; ) {
      const found = this.#at(text, at);
      if (found === undefined) at++;
      else {
        result += text.slice(from, at) + instead(found);
        at += found.length;
        from = at;
      }
    }
    return result + text.slice(from);
  }

  #at(text: string, at: number): string | undefined {
    for (const length of this.#lengths.get(text.slice(at, at + MIN_LENGTH)) ?? []) {
      const there = text.slice(at, at + length);
      if (this.#secrets.has(there)) return there;
    }
    return undefined;
  }
}
