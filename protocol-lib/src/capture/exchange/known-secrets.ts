import { toHex } from '../../bytes/index.ts';
import type { Value } from '../../state/index.ts';
import { toBase64 } from './base64.ts';
import { isPseudonym } from './secret-text.ts';

/** Shorter ones stand in other texts by chance. */
const MIN_LENGTH = 6;
/** Secrets that are looked for; of a capture with more of them, the first ones. */
const MAX_SECRETS = 100_000;
/** Of so many of them, the first ones, also where they are written in another way. */
const MAX_ENCODED = 20_000;

const utf8 = new TextEncoder();

/** Texts that are known to be secret, so that they are found wherever else they stand: as they are, escaped as in JSON and in addresses, in hex and in base64. */
export class KnownSecrets {
  readonly #secrets = new Set<string>();
  /** What is looked for, and the secret that it is. */
  readonly #texts = new Map<string, string>();
  /** How long those are that begin so, longest first: a text is gone through once, however many there are. */
  readonly #lengths = new Map<string, number[]>();
  /** Whether one may begin with three units of this sum: most places of a text are passed over by it. */
  readonly #starts = new Uint8Array(65_536);

  /** How many there are. */
  get size(): number {
    return this.#secrets.size;
  }

  /** All texts in a value that is secret. */
  learn(value: Value): void {
    if (typeof value === 'string') this.#add(value);
    else if (typeof value === 'number') this.#add(String(value));
    else if (value instanceof Uint8Array) this.#addBytes(value);
    else if (Array.isArray(value)) for (const one of value) this.learn(one);
    else if (typeof value === 'object' && value !== null) {
      for (const one of Object.values(value as { readonly [name: string]: Value })) this.learn(one);
    }
  }

  #add(secret: string): void {
    // What is shown in the place of secrets is none.
    if (secret.length < MIN_LENGTH || isPseudonym(secret) || 'redacted-'.includes(secret)) return;
    // Nor is what was masked before.
    if (/^\*+$/.test(secret) || !this.#takes(secret)) return;
    this.#addText(secret, secret);
    if (this.#secrets.size > MAX_ENCODED) return;
    const inJson = JSON.stringify(secret).slice(1, -1);
    this.#addText(inJson, secret);
    this.#addText(JSON.stringify(inJson).slice(1, -1), secret);
    this.#addText(encodeURIComponent(secret.toWellFormed()), secret);
    this.#addEncoded(utf8.encode(secret), secret);
  }

  #addBytes(secret: Uint8Array): void {
    const name = toHex(secret);
    if (secret.length >= MIN_LENGTH && this.#secrets.size < MAX_ENCODED && this.#takes(name))
      this.#addEncoded(secret, name);
  }

  /** Whether a secret is new, and there is room for it; it counts as one then. */
  #takes(secret: string): boolean {
    if (this.#secrets.size >= MAX_SECRETS || this.#secrets.has(secret)) return false;
    this.#secrets.add(secret);
    return true;
  }

  #addEncoded(bytes: Uint8Array, secret: string): void {
    this.#addText(toHex(bytes), secret);
    this.#addText(toHex(bytes).toUpperCase(), secret);
    for (const base64 of inBase64(bytes)) {
      this.#addText(base64, secret);
      this.#addText(base64.replaceAll('+', '-').replaceAll('/', '_'), secret);
    }
  }

  #addText(text: string, secret: string): void {
    if (text.length < MIN_LENGTH || this.#texts.has(text)) return;
    this.#texts.set(text, secret);
    this.#starts[sumAt(text, 0)] = 1;
    const start = text.slice(0, MIN_LENGTH);
    const lengths = this.#lengths.get(start) ?? [];
    if (lengths.includes(text.length)) return;
    lengths.push(text.length);
    lengths.sort((left, right) => right - left);
    this.#lengths.set(start, lengths);
  }

  /** Whether one stands in a text. */
  isIn(text: string): boolean {
    return this.#next(text, 0) !== undefined;
  }

  /** The text with something else in the place of each; `there` is how it is written. */
  replaced(text: string, instead: (secret: string, there: string) => string): string {
    let result = '';
    let from = 0;
    for (let found = this.#next(text, 0); found; found = this.#next(text, from)) {
      result += text.slice(from, found.at) + instead(found.secret, text.slice(found.at, found.at + found.length));
      from = found.at + found.length;
    }
    return from === 0 ? text : result + text.slice(from);
  }

  #next(
    text: string,
    from: number,
  ): { readonly at: number; readonly length: number; readonly secret: string } | undefined {
    if (this.#texts.size === 0) return undefined;
    for (let at = from; at + MIN_LENGTH <= text.length; at++) {
      if (this.#starts[sumAt(text, at)] === 0) continue;
      for (const length of this.#lengths.get(text.slice(at, at + MIN_LENGTH)) ?? []) {
        const secret = this.#texts.get(text.slice(at, at + length));
        if (secret !== undefined) return { at, length, secret };
      }
    }
    return undefined;
  }
}

function sumAt(text: string, at: number): number {
  return (text.charCodeAt(at) * 961 + text.charCodeAt(at + 1) * 31 + text.charCodeAt(at + 2)) & 0xffff;
}

/** Those digits of the base64 of some bytes that do not depend on what stands before and behind them, for each place that they may begin at. */
function inBase64(bytes: Uint8Array): string[] {
  return [0, 1, 2].map((shift) => {
    const shifted = new Uint8Array(shift + bytes.length);
    shifted.set(bytes, shift);
    return toBase64(shifted).slice(Math.ceil((8 * shift) / 6), Math.floor((8 * shifted.length) / 6));
  });
}
