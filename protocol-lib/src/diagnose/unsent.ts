import { areEqual } from './channel.ts';
import type { RecordRef } from './finding.ts';
import { Recent } from './recent.ts';
import type { ReceivedFrame } from './trail.ts';

const KEPT_HEARD = 512;
const KEPT_MISSING = 64;

/** Numbers that had not been heard when a later one was: from `first` up to before `end`. */
interface Missing {
  readonly first: number;
  readonly end: number;
  /** What has been heard under them since. */
  readonly heard: RecordRef[];
}

/** What one replica heard of one that tells nothing itself: what repeats, and what is missing, its numbers say alone. */
export class Unsent {
  readonly #heard = new Recent<number, Uint8Array>('frames', KEPT_HEARD);
  /** By kind of frame the highest number that was heard of it on this connection. */
  readonly #highest = new Map<string, number>();
  #missing: Missing[] = [];

  /** @param highest the highest number heard before on this connection; 0 where there was none */
  hear(
    ref: RecordRef,
    { type, sequence }: { readonly type: string; readonly sequence: number },
    highest: number,
    wire: Uint8Array | undefined,
  ): Pick<ReceivedFrame, 'isRepeated' | 'missing'> {
    const before = this.#heard.get(sequence);
    if (wire) this.#heard.set(sequence, wire);
    if (highest === 0) {
      this.#missing = [];
      this.#highest.clear();
    }
    for (const one of this.#missing) if (one.first <= sequence && sequence < one.end) one.heard.push(ref);
    if (highest > 0 && sequence > highest + 1) this.#missing.push({ first: highest + 1, end: sequence, heard: [] });
    if (this.#missing.length > KEPT_MISSING) this.#missing.shift();
    const last = this.#highest.get(type) ?? 0;
    this.#highest.set(type, Math.max(last, sequence));
    return {
      isRepeated: wire !== undefined && before !== undefined && areEqual(before, wire),
      missing: this.#missing.filter(({ first, end }) => first > last && end <= sequence),
    };
  }
}
