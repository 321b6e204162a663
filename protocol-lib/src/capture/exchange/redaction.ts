import { RE2JS, RE2JSException } from 're2js';
import { unpackMsgpack } from '../../bytes/index.ts';
import { isSyncError, SyncError } from '../../errors/index.ts';
import { fitText } from '../../schema/index.ts';
import { type ReplicaId, recordKey, replicaId, type Value } from '../../state/index.ts';
import type { TraceBody, TraceRecord } from '../../trace/index.ts';
import { KnownSecrets } from './known-secrets.ts';
import { isPseudonym, isSecretField, isSecretName, pseudonymsIn, type SecretText, SecretTexts } from './secret-text.ts';

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
  /** Fields that the app marked as secret, as the header of its trace has them: such as {@link paths}. */
  readonly marks?: readonly string[];
  /** Makes pseudonyms: equal secrets get equal ones, and nobody without the key can try which secret one stands for. */
  readonly pseudonym: (secret: string) => string;
  /** What is known to be secret already. Default: nothing. */
  readonly known?: KnownSecrets;
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

interface PathRule {
  readonly isKey: (key: string) => boolean;
  readonly field: string;
}

/** Finds what is secret and replaces it. Knows what was secret by its name before. */
export class Redaction {
  values = 0;
  readonly known: KnownSecrets;
  readonly #texts: SecretTexts;
  #isLearning = false;
  /** Whether what is looked at was packed in a text. */
  #isPacked = false;
  readonly #pseudonym: (secret: string) => string;
  readonly #paths: readonly PathRule[];
  readonly #marked: ReadonlySet<string>;
  readonly #patterns: readonly RE2JS[];

  /** @throws SyncError `REDACT_RULE` */
  constructor(options: RedactOptions) {
    const { paths = [], patterns = [], marks = [], pseudonym, keepsHex = false } = options;
    this.known = options.known ?? new KnownSecrets();
    this.#pseudonym = pseudonym;
    this.#paths = [...marks, ...paths].map(pathRule);
    const marked = marks.map((mark) => pathRule(mark).field);
    this.#marked = new Set(marked);
    this.#texts = new SecretTexts(marked);
    this.#patterns = [...(keepsHex ? [] : [HEX_TEXT]), ...patterns.map(compile)];
  }

  /** Whether a text may hold what is secret by a name, by itself, or because it is known; where not, nothing in it is, but for long hex and what rules say. */
  isSuspicious(text: string): boolean {
    return this.#texts.isSuspicious(text) || this.known.isIn(text);
  }

  /** Whether a field of this name may be secret. */
  isName(name: string): boolean {
    return isSecretName(name) || this.#marked.has(name);
  }

  body(body: TraceBody): TraceBody {
    const redacted = this.#part(body as unknown as Value, undefined, false, '') as unknown as TraceBody;
    // One of a few words in these, and a text in all others.
    const isWord = body.kind === 'snapshot' || body.kind === 'mismatch';
    return isWord ? ({ ...redacted, reason: body.reason } as TraceBody) : redacted;
  }

  /** The name of a replica, in which a token may stand. Whoever is called as somebody else's password is not to be renamed. */
  replica(id: ReplicaId): ReplicaId {
    const shown = this.#identifier(id);
    return shown === id
      ? id
      : attempt(
          () => replicaId(shown),
          () => replicaId(this.#pseudonym(id)),
        );
  }

  /** The same of a record's key. Its collection stays. */
  #key(key: string): string {
    const slash = key.indexOf('/');
    const shown = this.#identifier(key.slice(slash + 1));
    if (shown === key.slice(slash + 1)) return key;
    const collection = key.slice(0, slash);
    return attempt(
      () => recordKey(`${collection}/${shown}`),
      () => recordKey(`${collection}/${this.#pseudonym(key)}`),
    );
  }

  #identifier(text: string): string {
    if (this.#isLearning) return text;
    const known = this.known.replaced(text, (secret, there) => (isToken(secret) ? this.#counted(secret) : there));
    return this.#shown(known, this.#found(known));
  }

  source<T extends { readonly file: string }>(source: T): T {
    return { ...source, file: this.text(source.file, LIMITS.file) };
  }

  /** Takes in the values that are secret by their names, or by what a text calls them. */
  learn(body: TraceBody): void {
    this.#learning(() => this.body(body));
  }

  /** The same of bytes: msgpack, such as a frame or a batch of inputs, else text. */
  learnBytes(bytes: Uint8Array): void {
    this.#learning(() => {
      const value = unpacked(bytes);
      if (value === undefined) this.text(utf8.decode(bytes));
      else this.#part(value, undefined, true, '');
    });
  }

  #learning(look: () => void): void {
    const before = this.values;
    this.#isLearning = true;
    look();
    this.#isLearning = false;
    this.values = before;
  }

  /** Whether something in a record would be replaced. */
  isIn({ replica, body, source }: TraceRecord): boolean {
    const before = this.values;
    this.replica(replica);
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
    if (Array.isArray(value)) {
      const parts = value.map((one: Value) => this.#part(one, key, isOwn, name));
      return name === 'vector' && !isOwn ? inOrder(value, parts) : parts;
    }
    return this.#map(value as { readonly [name: string]: Value }, key, isOwn);
  }

  /** Whether a secret, or the name of one, stands as text among bytes. */
  isInBytes(bytes: Uint8Array): boolean {
    const text = utf8.decode(bytes);
    return this.isSuspicious(text) && (this.#texts.isNameIn(text) || this.#isInText(text));
  }

  #isInText(text: string): boolean {
    const before = this.values;
    const isFound = this.text(text) !== text;
    this.values = before;
    return isFound;
  }

  /** Bytes in which a secret stands, as text or as a field of what they are in msgpack, give way as a whole. */
  #bytes(value: Uint8Array): Value {
    const text = utf8.decode(value);
    const packed = this.isSuspicious(text) ? unpacked(value) : undefined;
    if (this.#isLearning) {
      this.text(text);
      if (packed !== undefined) this.#part(packed, undefined, true, '');
      return value;
    }
    return this.#isInText(text) || (packed !== undefined && this.#isInValue(packed)) ? this.#replaced(value) : value;
  }

  #isInValue(value: Value): boolean {
    const before = this.values;
    this.#part(value, undefined, true, '');
    const isFound = this.values > before;
    this.values = before;
    return isFound;
  }

  #map(map: { readonly [name: string]: Value }, outer: string | undefined, isOwn: boolean): Value {
    const key = !isOwn && typeof map.key === 'string' ? map.key : outer;
    const entries = Object.entries(map).map(([name, value]): [string, Value] => {
      if (!isOwn) {
        if (STRUCTURE.has(name) && isText(value)) return [name, this.#named(name, value)];
        const isRecord = OWN.has(name) && typeof value === 'object' && value !== null && !Array.isArray(value);
        return [name, this.#part(value, key, isRecord, name)];
      }
      // A map may be by what is secret, such as tokens.
      const shown = this.text(name);
      return [shown, this.#isSecret(name, key, value) ? this.#replaced(value) : this.#part(value, key, true, name)];
    });
    return Object.fromEntries(entries);
  }

  /** Names of replicas and keys among what says how a record is built; all else stays. */
  #named(name: string, value: string | readonly string[]): Value {
    if (typeof value !== 'string')
      return REPLICAS.has(name) ? value.map((one) => this.replica(one as ReplicaId)) : value;
    if (name === 'key') return this.#key(value);
    return REPLICAS.has(name) ? this.replica(value as ReplicaId) : value;
  }

  #isSecret(name: string, key: string | undefined, value: Value): boolean {
    if (isSecretField(name, value)) return true;
    return this.#paths.some((rule) => rule.field === name && rule.isKey(key ?? ''));
  }

  #replaced(value: Value): Value {
    if (value === null || typeof value === 'boolean' || (typeof value === 'string' && isPseudonym(value))) return value;
    if (this.#isLearning) this.known.learn(value);
    return this.#counted(
      typeof value === 'string' ? value : value instanceof Uint8Array ? value.join(',') : JSON.stringify(value),
    );
  }

  /** At most `max` UTF-16 units, where it is not longer already: a pseudonym may be longer than what it stands for. */
  text(text: string, max = Number.POSITIVE_INFINITY): string {
    if (this.#isLearning) {
      for (const { learned } of this.#found(text)) for (const one of learned) this.known.learn(one);
      return text;
    }
    let redacted = this.known.replaced(text, (secret) => this.#counted(secret));
    redacted = this.#shown(redacted, this.#found(redacted));
    for (const pattern of this.#patterns) redacted = this.#matched(redacted, pattern);
    return redacted === text ? text : fitText(redacted, Math.max(max, text.length));
  }

  #shown(text: string, found: readonly SecretText[]): string {
    let result = '';
    let done = 0;
    for (const { from, to, shown } of found) {
      result += text.slice(done, from) + shown(this.#counted(text.slice(from, to)));
      done = to;
    }
    return result + text.slice(done);
  }

  #found(text: string): readonly SecretText[] {
    return this.#texts.find(text, (unpacked) => {
      if (this.#isPacked) return false;
      const isLearning = this.#isLearning;
      this.#isPacked = true;
      if (isLearning) this.text(unpacked);
      this.#isLearning = false;
      const isFound = this.#isInText(unpacked);
      this.#isPacked = false;
      this.#isLearning = isLearning;
      return isFound;
    });
  }

  /** The text with a pseudonym in the place of what a pattern finds, but in that of a pseudonym. */
  #matched(text: string, pattern: RE2JS): string {
    const matcher = pattern.matcher(text);
    let shown: readonly { readonly from: number; readonly to: number }[] | undefined;
    let result = '';
    let done = 0;
    while (matcher.find()) {
      const [from, to] = [matcher.start(), matcher.end()];
      shown ??= pseudonymsIn(text);
      if (from === to || shown.some((one) => one.from <= from && to <= one.to)) continue;
      result += text.slice(done, from) + this.#counted(text.slice(from, to));
      done = to;
    }
    return done === 0 ? text : result + text.slice(done);
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
  removed: 65_536,
  reason: 200,
  title: 200,
  device: 200,
  view: 200,
  player: 80,
  policy: 80,
  command: 80,
};
const LIMIT = 40;

function isText(value: Value): value is string | readonly string[] {
  return typeof value === 'string' || (Array.isArray(value) && value.every((one) => typeof one === 'string'));
}

/** Fields of trace records that name replicas. */
const REPLICAS: ReadonlySet<string> = new Set([
  'replica',
  'to',
  'from',
  'sender',
  'writer',
  'target',
  'against',
  'winner',
  'proposer',
  'reachable',
  'members',
]);

/** Fields of trace records that name replicas, keys and hashes or have one of a few words, and must stay what they are. */
const STRUCTURE: ReadonlySet<string> = new Set([
  ...REPLICAS,
  'kind',
  'op',
  'key',
  'root',
  'own',
  'reference',
  'expected',
  'got',
  'base',
  'type',
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

/** Words and names are called what somebody else's password is; a token is nobody's name by chance. */
function isToken(secret: string): boolean {
  return secret.length >= 12 && /[0-9]/.test(secret);
}

/** A vector is sorted by its replicas, also where some have other names now. */
function inOrder(before: readonly Value[], after: readonly Value[]): readonly Value[] {
  const nameOf = (value: Value): string => String((value as { readonly replica?: Value }).replica);
  if (after.every((value, at) => nameOf(value) === nameOf(before[at]!))) return after;
  return after.toSorted((left, right) => (nameOf(left) < nameOf(right) ? -1 : 1));
}

function attempt<T>(first: () => T, otherwise: () => T): T {
  try {
    return first();
  } catch (error) {
    if (!isSyncError(error)) throw error;
    return otherwise();
  }
}

/** The value that bytes are in msgpack; undefined where they are none. */
function unpacked(bytes: Uint8Array): Value | undefined {
  try {
    return unpackMsgpack(bytes) as Value;
  } catch (error) {
    if (!isSyncError(error)) throw error;
    return undefined;
  }
}

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
