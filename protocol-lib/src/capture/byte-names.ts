const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** Strings numbered in order of appearance and looked up by their bytes, without decoding them each time. */
export class ByteNames {
  readonly texts: string[] = [];
  readonly #bytes: Uint8Array[] = [];
  #last = -1;
  readonly #byText = new Map<string, number>();
  readonly #byHash = new Map<number, number | number[]>();

  constructor(initial: readonly string[] = []) {
    for (const one of initial) this.internText(one);
  }

  /** The number of the string, or -1 where it was never interned. */
  find(source: Uint8Array, offset: number, length: number): number {
    // One name comes several times in a row, mostly.
    if (this.#last >= 0 && this.is(this.#last, source, offset, length)) return this.#last;
    const id = this.#lookUp(source, offset, length);
    this.#last = id;
    return id;
  }

  #lookUp(source: Uint8Array, offset: number, length: number): number {
    const found = this.#byHash.get(hashBytes(source, offset, length));
    if (found === undefined) return -1;
    if (typeof found === 'number') return this.is(found, source, offset, length) ? found : -1;
    return found.find((one) => this.is(one, source, offset, length)) ?? -1;
  }

  intern(source: Uint8Array, offset: number, length: number): number {
    const found = this.find(source, offset, length);
    if (found >= 0) return found;
    const id = this.texts.length;
    const copy = new Uint8Array(source.subarray(offset, offset + length));
    this.texts.push(decoder.decode(copy));
    this.#bytes.push(copy);
    const hash = hashBytes(copy, 0, length);
    const others = this.#byHash.get(hash);
    this.#byHash.set(hash, others === undefined ? id : typeof others === 'number' ? [others, id] : [...others, id]);
    return id;
  }

  internText(text: string): number {
    const bytes = encoder.encode(text);
    return this.intern(bytes, 0, bytes.length);
  }

  findText(text: string): number {
    const known = this.#byText.get(text);
    if (known !== undefined) return known;
    const bytes = encoder.encode(text);
    const found = this.find(bytes, 0, bytes.length);
    // Only what is there: what is not may come, and who asks for that may ask for anything.
    if (found >= 0) this.#byText.set(text, found);
    return found;
  }

  /** Whether a number's string is these bytes. */
  is(id: number, source: Uint8Array, offset: number, length: number): boolean {
    const own = this.#bytes[id]!;
    if (own.length !== length) return false;
    for (let index = 0; index < length; index++) if (own[index] !== source[offset + index]) return false;
    return true;
  }
}

/** FNV-1a over the bytes, 32 bits. For tables only: equal hashes are always compared in full or decoded afterwards. */
export function hashBytes(bytes: Uint8Array, offset: number, length: number): number {
  let hash = 0x811c9dc5;
  for (let index = offset; index < offset + length; index++) hash = Math.imul(hash ^ bytes[index]!, 0x01000193);
  return hash >>> 0;
}

/** The same over the UTF-8 of a text. */
export function hashText(text: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index);
    if (code > 0x7f) return hashEncoded(text);
    hash = Math.imul(hash ^ code, 0x01000193);
  }
  return hash >>> 0;
}

function hashEncoded(text: string): number {
  const bytes = encoder.encode(text);
  return hashBytes(bytes, 0, bytes.length);
}
