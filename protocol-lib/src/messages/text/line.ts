import { SyncError } from '../../errors/index.ts';

/**
 * One line of the text protocol: `KEYWORD:field:field…`. In a field a backslash stands before whatever would end it:
 * `\\` `\:` `\,` `\n` `\r` `\t`, and `\uXXXX` for what must not be seen raw.
 */

/** Control characters, line separators, and those that turn the direction of writing: never raw on a line (T20). */
const UNSEEN = '\\p{Cc}\\u061c\\u200e\\u200f\\u2028\\u2029\\u202a-\\u202e\\u2066-\\u2069\\ufeff';
const UNSEEN_PATTERN = new RegExp(`[${UNSEEN}]`, 'gu');
const FIELD_PATTERN = new RegExp(`[\\\\:${UNSEEN}]`, 'gu');
const ITEM_PATTERN = new RegExp(`[\\\\:,${UNSEEN}]`, 'gu');

const SHORT_ESCAPES: ReadonlyMap<string, string> = new Map([
  ['\\', '\\'],
  [':', ':'],
  [',', ','],
  ['\n', 'n'],
  ['\r', 'r'],
  ['\t', 't'],
]);
const SHORT_UNESCAPES: ReadonlyMap<string, string> = new Map(
  [...SHORT_ESCAPES].map(([character, letter]) => [letter, character]),
);

/** `\uXXXX`, which JSON reads as well. */
function codeEscape(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
}

function escapeOne(character: string): string {
  const letter = SHORT_ESCAPES.get(character);
  return letter === undefined ? codeEscape(character) : `\\${letter}`;
}

/** A value as a field. */
export function escapeField(value: string): string {
  return value.replace(FIELD_PATTERN, escapeOne);
}

/** A value as one item of a field that is a list with commas. */
export function escapeItem(value: string): string {
  return value.replace(ITEM_PATTERN, escapeOne);
}

/** JSON with nothing unseen in it. Only inside its strings is there anything to escape. */
export function escapeUnseen(json: string): string {
  return json.replace(UNSEEN_PATTERN, codeEscape);
}

const UINT_PATTERN = /^(0|[1-9][0-9]{0,15})$/;

/** Reads a line from its keyword on. `line` counts from 1. */
export class LineReader {
  readonly text: string;
  readonly line: number;
  readonly keyword: string;
  /** The next character that is to be read. After the keyword and after each field that is a colon or the end. */
  at: number;

  constructor(text: string, line: number) {
    this.text = text;
    this.line = line;
    const colon = text.indexOf(':');
    this.at = colon === -1 ? text.length : colon;
    this.keyword = text.slice(0, this.at);
  }

  /** Whether another field follows. */
  get hasMore(): boolean {
    return this.at < this.text.length;
  }

  /** Steps over the colon before a field. @throws SyncError `TEXT_SYNTAX` where the line ends */
  begin(what: string): void {
    if (this.text[this.at] !== ':') {
      this.fail('TEXT_SYNTAX', this.hasMore ? `expected a colon and ${what}` : `the line ends before ${what}`);
    }
    this.at++;
  }

  /** The next field. @throws SyncError `TEXT_SYNTAX` */
  field(what: string): string {
    this.begin(what);
    return this.#read(':', what);
  }

  /** The next field as the items that its commas part; none where it is empty. @throws SyncError `TEXT_SYNTAX` */
  items(what: string): string[] {
    this.begin(what);
    const items: string[] = [];
    if (!this.hasMore || this.text[this.at] === ':') return items;
    for (;;) {
      items.push(this.#read(':,', what));
      if (this.text[this.at] !== ',') return items;
      this.at++;
    }
  }

  /** The next field as an integer from 0 to 2^53 - 1. @throws SyncError `TEXT_SYNTAX`, `SCHEMA_MISMATCH` */
  uint(what: string): number {
    const start = this.at + 1;
    const field = this.field(what);
    const value = Number(field);
    if (!UINT_PATTERN.test(field) || !Number.isSafeInteger(value)) {
      this.fail('SCHEMA_MISMATCH', `expected ${what} as an integer from 0 to 2^53 - 1`, start);
    }
    return value;
  }

  /** @throws SyncError `TEXT_SYNTAX` where anything is left */
  end(): void {
    if (this.hasMore) this.fail('TEXT_SYNTAX', `${this.keyword} has more fields than are known`);
  }

  /** Reads to one of `stops` or the end of the line. */
  #read(stops: string, what: string): string {
    const start = this.at;
    let value = '';
    let from = start;
    while (this.at < this.text.length) {
      const character = this.text[this.at]!;
      if (stops.includes(character)) break;
      if (character === '\\') {
        value += this.text.slice(from, this.at) + this.#unescape();
        from = this.at;
      } else {
        this.at++;
      }
    }
    value += this.text.slice(from, this.at);
    if (!value.isWellFormed()) this.fail('TEXT_SYNTAX', `${what} has a lone surrogate`, start);
    return value;
  }

  #unescape(): string {
    const letter = this.text[this.at + 1] ?? '';
    const short = SHORT_UNESCAPES.get(letter);
    if (short !== undefined) {
      this.at += 2;
      return short;
    }
    const digits = this.text.slice(this.at + 2, this.at + 6);
    if (letter !== 'u' || !/^[0-9a-f]{4}$/.test(digits)) {
      this.fail('TEXT_SYNTAX', 'a backslash stands before \\ : , n r t or uXXXX only');
    }
    this.at += 6;
    return String.fromCharCode(Number.parseInt(digits, 16));
  }

  fail(code: string, what: string, at = this.at): never {
    failAt(code, what, this.line, at + 1);
  }
}

/** @throws SyncError of this code, with its line and column in `place` and message */
export function failAt(code: string, what: string, line: number, column: number, cause?: unknown): never {
  throw new SyncError(code, `line ${line}, column ${column}: ${what}`, {
    origin: 'protocol',
    place: { line, column },
    ...(cause === undefined ? {} : { cause }),
  });
}
