import { TRACE_KINDS, type TraceRecord } from '../trace/index.ts';

const kindNumbers = new Map(TRACE_KINDS.map((kind, number) => [kind, number]));

/** A hash of everything that was traced, in order: two runs with the same one did the same. */
export class TraceDigest {
  #low = 0x811c9dc5 | 0;
  #high = 0x01000193 | 0;

  add({ seq, time, replica, body, wire }: TraceRecord): void {
    this.#number(seq);
    this.#number(time % 4_294_967_296);
    this.#number(kindNumbers.get(body.kind) ?? -1);
    this.#text(replica);
    if ('root' in body) this.#text(body.root);
    if ('own' in body) this.#text(body.own);
    if ('version' in body) this.#number(body.version);
    if (wire) for (let index = 0; index < wire.length; index++) this.#number(wire[index]!);
  }

  /** 16 hex digits. */
  get hash(): string {
    return [this.#high, this.#low].map((word) => (word >>> 0).toString(16).padStart(8, '0')).join('');
  }

  #text(text: string): void {
    for (let index = 0; index < text.length; index++) this.#number(text.charCodeAt(index));
  }

  #number(value: number): void {
    this.#low = Math.imul(this.#low ^ value, 0x01000193);
    this.#high = Math.imul(this.#high + value, 0x85ebca6b) ^ (this.#high >>> 13);
  }
}
