import { RE2JS, RE2JSException } from 're2js';
import { SyncError } from '../../errors/index.ts';
import { fitText } from '../../schema/index.ts';
import type { Value } from '../../state/index.ts';
import type { SourceLocation, TraceBody } from '../../trace/index.ts';
import { KnownSecrets } from './known-secrets.ts';

/** Names of fields and of keys in queries that hold secrets, whatever their case. */
const NAMES =
  'authori[sz]ation|cookie|passw(?:or)?d|passphrase|secret|token|api[-_]?key|session[-_]?id|credential|private[-_]?key';
const SECRET_NAME = new RegExp(NAMES, 'i');
/** With a number: how many there are. */
const COUNT_NAME = /tokens$/i;
const COUNT_TEXT = /^"[^"]*tokens"\s*:\s*-?[0-9]/i;
/** Names among bytes, where a word may follow one that is a length; those of counts stand in frames without what follows them being known. */
const NAME_IN_BYTES = new RegExp(
  `${NAMES.replace('token', 'token(?!s)')}|(?:key|auth|sig|signature|code)=[^&\\s"']{4}`,
  'iu',
);
/**
 * Found in every text in which {@link Redaction} finds something that is neither long hex nor by rules of its own, and in few others: looking for this
 * costs little. JavaScript has more kinds of space than RE2, so that what must not be one is not said here; with `u`, letters fold as they do there.
 */
const SUSPICIOUS = new RegExp(
  `${NAMES}|(?:key|auth|sig|signature|code)=|(?:bearer|basic)\\s|eyJ|//[^/:@]+:[^/@]+@`,
  'iu',
);
/** Tokens that give themselves away wherever they stand. */
const SECRET_TEXT = RE2JS.compile(
  [
    // Headers that hold nothing but credentials, then what is named as in JSON or in a query.
    String.raw`\b(?:proxy-authorization|authorization|set-cookie|cookie|x-api-key):[^\r\n"]+`,
    String.raw`"[^"\\\r\n]*(?:${NAMES})[^"\\\r\n]*"\s*:\s*(?:"(?:[^"\\]|\\.)*"?|-?[0-9][0-9.e+-]*)`,
    String.raw`(?:[?&#;]|\b)(?:[\w-]*(?:${NAMES}|[-_]key)|key|auth|sig|signature|code)=[^&\s"']{4,}`,
    String.raw`\b(?:passw(?:or)?d|passphrase):\s*[^\s"',;]{4,}`,
    String.raw`(?:bearer|basic)\s+[a-z0-9+/=._~-]{8,}`,
    String.raw`eyJ[a-z0-9_-]{8,}\.[a-z0-9_-]{8,}\.[a-z0-9_-]*`,
    String.raw`//[^/\s:@]+:[^/\s@]+@`,
  ].join('|'),
  RE2JS.CASE_INSENSITIVE,
);
/** Keys and hashes alike. */
const HEX_TEXT = RE2JS.compile(String.raw`\b[0-9a-f]{32,}\b`, RE2JS.CASE_INSENSITIVE);
const utf8 = new TextDecoder();

export interface RedactionRules {
  /** Fields whose values are secret, such as `player/*.email`: the key or its start with `*`, a dot, the field. Or a field of any record: `*.email`. */
  readonly paths?: readonly string[];
  /** Texts that are secret wherever they stand, as RE2 has them. */
  readonly patterns?: readonly string[];
}

export interface RedactOptions extends RedactionRules {
  /** Makes pseudonyms: equal secrets get equal ones, and nobody without the key can try which secret one stands for. */
  readonly pseudonym: (secret: string) => string;
  /** Whether long hex texts stay, which may be keys but mostly are hashes. Default: false. */
  readonly keepsHex?: boolean;
}

/** Whether there are rules beyond what is secret by its name and by itself. */
export function hasRules({ paths = [], patterns = [] }: RedactionRules): boolean {
  return paths.length + patterns.length > 0;
}

/** @throws SyncError `REDACT_RULE` for a path or pattern that is none */
export function checkRules({ paths = [], patterns = [] }: RedactionRules): void {
  for (const path of paths) pathRule(path);
  for (const pattern of patterns) compile(pattern);
}

/** Whether a text may hold what is secret by a name or by itself, but for long hex; where it does not, nothing in it is. */
export function isSuspicious(text: string): boolean {
  return SUSPICIOUS.test(text);
}

/** Whether a value may be a secret because it is called so. */
export function isSecretName(name: string): boolean {
  return SECRET_NAME.test(name) && !COUNT_NAME.test(name);
}

interface PathRule {
  readonly isKey: (key: string) => boolean;
  readonly field: string;
}

/** Finds what is secret and replaces it. Knows what was secret by its name before. */
export class Redaction {
  values = 0;
  readonly #known = new KnownSecrets();
  #isLearning = false;
  readonly #pseudonym: (secret: string) => string;
  readonly #paths: readonly PathRule[];
  readonly #patterns: readonly RE2JS[];

  constructor({ paths = [], patterns = [], pseudonym, keepsHex = false }: RedactOptions) {
    this.#pseudonym = pseudonym;
    this.#paths = paths.map(pathRule);
    this.#patterns = [SECRET_TEXT, ...(keepsHex ? [] : [HEX_TEXT]), ...patterns.map(compile)];
  }

  body(body: TraceBody): TraceBody {
    const redacted = this.#part(body as unknown as Value, undefined, false, '') as unknown as TraceBody;
    // One of a few words in these, and a text in all others.
    const isWord = body.kind === 'snapshot' || body.kind === 'mismatch';
    return isWord ? ({ ...redacted, reason: body.reason } as TraceBody) : redacted;
  }

  source<T extends { readonly file: string }>(source: T): T {
    return { ...source, file: this.text(source.file, LIMITS.file) };
  }

  /** Takes in the values that are secret by their names. */
  learn(body: TraceBody): void {
    const before = this.values;
    this.#isLearning = true;
    this.body(body);
    this.#isLearning = false;
    this.values = before;
  }

  /** Whether something in a record would be replaced. */
  isIn(body: TraceBody, source: SourceLocation | undefined): boolean {
    const before = this.values;
    this.body(body);
    if (source) this.source(source);
    const isFound = this.values > before;
    this.values = before;
    return isFound;
  }

  /** `key`: of the record that the value is in. `isOwn`: whether it is the session's own, and no more the trace's. `name`: of the field. */
  #part(value: Value, key: string | undefined, isOwn: boolean, name: string): Value {
    if (typeof value === 'string') return isOwn ? this.text(value) : this.text(value, LIMITS[name] ?? LIMIT);
    if (typeof value !== 'object' || value === null) return value;
    if (value instanceof Uint8Array) return this.#bytes(value);
    if (Array.isArray(value)) return value.map((one: Value) => this.#part(one, key, isOwn, name));
    return this.#map(value as { readonly [name: string]: Value }, key, isOwn);
  }

  /** Whether a secret, or the name of one, stands as text among bytes. */
  isInBytes(bytes: Uint8Array): boolean {
    const text = utf8.decode(bytes);
    if (!isSuspicious(text)) return false;
    const before = this.values;
    const isFound = NAME_IN_BYTES.test(text) || this.text(text) !== text;
    this.values = before;
    return isFound;
  }

  /** Bytes in which a secret stands as text give way as a whole. */
  #bytes(value: Uint8Array): Value {
    if (this.#isLearning) return value;
    const text = utf8.decode(value);
    const before = this.values;
    if (this.text(text) === text) return value;
    this.values = before;
    return this.#replaced(value);
  }

  #map(map: { readonly [name: string]: Value }, outer: string | undefined, isOwn: boolean): Value {
    const key = !isOwn && typeof map.key === 'string' ? map.key : outer;
    const entries = Object.entries(map).map(([name, value]): [string, Value] => {
      if (!isOwn) {
        if (STRUCTURE.has(name) && isText(value)) return [name, value];
        const isRecord = OWN.has(name) && typeof value === 'object' && value !== null && !Array.isArray(value);
        return [name, this.#part(value, key, isRecord, name)];
      }
      // A map may be by what is secret, such as tokens.
      const shown = this.text(name);
      return [shown, this.#isSecret(name, key, value) ? this.#replaced(value) : this.#part(value, key, true, name)];
    });
    return Object.fromEntries(entries);
  }

  #isSecret(name: string, key: string | undefined, value: Value): boolean {
    if (SECRET_NAME.test(name) && !(typeof value === 'number' && COUNT_NAME.test(name))) return true;
    return this.#paths.some((rule) => rule.field === name && rule.isKey(key ?? ''));
  }

  #replaced(value: Value): Value {
    if (value === null || typeof value === 'boolean') return value;
    this.values++;
    const text =
      typeof value === 'string' ? value : value instanceof Uint8Array ? value.join(',') : JSON.stringify(value);
    if (this.#isLearning) this.#known.learn(value);
    return this.#pseudonym(text);
  }

  /** At most `max` UTF-16 units, where it is not longer already: a pseudonym may be longer than what it stands for. */
  text(text: string, max = Number.POSITIVE_INFINITY): string {
    if (this.#isLearning) return text;
    let redacted = this.#known.replaced(text, (secret) => this.#counted(secret));
    for (const pattern of this.#patterns) {
      const matcher = pattern.matcher(redacted);
      let result = '';
      let from = 0;
      while (matcher.find()) {
        const found = redacted.slice(matcher.start(), matcher.end());
        if (found === '' || (pattern === SECRET_TEXT && COUNT_TEXT.test(found))) continue;
        result += redacted.slice(from, matcher.start()) + this.#counted(found);
        from = matcher.end();
      }
      redacted = result + redacted.slice(from);
    }
    return redacted === text ? text : fitText(redacted, Math.max(max, text.length));
  }

  #counted(secret: string): string {
    this.values++;
    return this.#pseudonym(secret);
  }
}

/** UTF-16 units that texts of trace records may have, by the field; where one is not here, it may have that many at least. */
const LIMITS: Readonly<Record<string, number>> = {
  text: 10_000,
  message: 2_000,
  file: 1_000,
  detail: 500,
  names: 256,
  field: 256,
  reason: 200,
  title: 200,
  device: 200,
  view: 200,
  player: 80,
  policy: 80,
  command: 80,
};
const LIMIT = 40;

function isText(value: Value): boolean {
  return typeof value === 'string' || (Array.isArray(value) && value.every((one) => typeof one === 'string'));
}

/** Fields of trace records that name replicas, keys and hashes or have one of a few words, and must stay what they are. */
const STRUCTURE: ReadonlySet<string> = new Set([
  'kind',
  'op',
  'key',
  'root',
  'own',
  'reference',
  'expected',
  'got',
  'base',
  'replica',
  'to',
  'from',
  'type',
  'sender',
  'writer',
  'target',
  'against',
  'winner',
  'proposer',
  'reachable',
  'members',
  'role',
  'phase',
  'level',
  'state',
  'stalls',
  'answer',
  'method',
  'origin',
]);

/** Fields of trace records that hold a record of the session, or some fields of one. */
const OWN: ReadonlySet<string> = new Set(['record', 'fields', 'own', 'theirs', 'base', 'result', 'metadata']);

function pathRule(path: string): PathRule {
  const dot = path.lastIndexOf('.');
  const [key, field] = [path.slice(0, dot), path.slice(dot + 1)];
  if (dot < 1 || field === '') {
    throw new SyncError(
      'REDACT_RULE',
      `${JSON.stringify(path)} is no path: a key or its start with *, a dot and a field, such as player/*.email`,
      { origin: 'setting' },
    );
  }
  return { field, isKey: key.endsWith('*') ? (one) => one.startsWith(key.slice(0, -1)) : (one) => one === key };
}

function compile(pattern: string): RE2JS {
  try {
    return RE2JS.compile(pattern);
  } catch (cause) {
    if (!(cause instanceof RE2JSException)) throw cause;
    throw new SyncError('REDACT_RULE', `${JSON.stringify(pattern)} is no regular expression: ${cause.message}`, {
      origin: 'setting',
      cause,
    });
  }
}
