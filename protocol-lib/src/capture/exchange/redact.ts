import { RE2JS, RE2JSException } from 're2js';
import { SyncError } from '../../errors/index.ts';
import { StateRoot } from '../../merkle/index.ts';
import { isInputs } from '../../replay/batches.ts';
import { fitText } from '../../schema/index.ts';
import type { ReplicaId, StateHash, SyncRecord, Value } from '../../state/index.ts';
import type { TraceBody, TraceHeader, TraceRecord } from '../../trace/index.ts';
import { advance, type Committed, nothingKnown } from '../committed.ts';
import type { OpenCapture } from '../engine.ts';
import { KnownSecrets } from './known-secrets.ts';
import type { CaptureMaker } from './made-capture.ts';

/** Names of fields and of keys in queries that hold secrets, whatever their case. */
const NAMES =
  'authori[sz]ation|cookie|passw(?:or)?d|passphrase|secret|token|api[-_]?key|session[-_]?id|credential|private[-_]?key';
const SECRET_NAME = new RegExp(NAMES, 'i');
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
    String.raw`\b[0-9a-f]{32,}\b`,
  ].join('|'),
  RE2JS.CASE_INSENSITIVE,
);
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
}

export interface Redacted {
  readonly records: number;
  /** Values that were replaced. */
  readonly values: number;
}

/**
 * Writes a capture without its secrets: values by name, by path and by pattern give way to pseudonyms, so that what was equal stays equal
 * and diagnosis works as before. Frames are left out, since they hold the values; root hashes are those of the states as they are shown then.
 * @throws SyncError `REDACT_RULE` for a path or pattern that is none
 */
export async function redactCapture(
  capture: OpenCapture,
  maker: CaptureMaker,
  options: RedactOptions,
): Promise<Redacted> {
  const redaction = new Redaction(options);
  const roots = new RedactedRoots(options.pseudonym);
  const numbers = new Map<number, number>();
  // A value that is secret by its name may have been told before, in a text.
  for await (const { record } of capture.trace()) if (!isInputs(record)) redaction.learn(record.body);
  for await (const { record } of capture.trace()) {
    // What was handed to the state machines stands there in bytes, secrets included, and leads to other states than are shown.
    if (isInputs(record)) continue;
    const { seq, replica, time, body, cause, source } = record;
    const redacted = roots.follow(record, redaction.body(withoutBytes(body)));
    const causes = cause.flatMap((one) => numbers.get(one) ?? []);
    numbers.set(seq, await maker.add(replica, time, redacted, causes, undefined, source && redaction.source(source)));
  }
  return { records: maker.records, values: redaction.values };
}

/** The header of a redacted capture, by which it is known as one. @throws SyncError `REDACT_RULE` */
export function redactedHeader(header: TraceHeader, options: RedactOptions): TraceHeader {
  const redaction = new Redaction(options);
  const { title, sessionId, scenario, build } = header;
  const rest = isRedacted(header) ? title.slice(0, -REDACTED.length) : title;
  return {
    ...header,
    title: `${fitText(redaction.text(rest, 200), 200 - REDACTED.length)}${REDACTED}`,
    sessionId: redaction.text(sessionId, 100),
    scenario: redaction.text(scenario, 100),
    build: redaction.text(build, 100),
  };
}

const REDACTED = ' (redacted)';

/** Whether a capture is one without secrets. */
export function isRedacted({ title }: TraceHeader): boolean {
  return title.endsWith(REDACTED);
}

/** The title of a capture that is no longer without secrets. */
export function unredactedTitle(title: string): string {
  return title.endsWith(REDACTED) ? title.slice(0, -REDACTED.length) : title;
}

/** An operation as its type encodes it holds what was written, as frames do. */
function withoutBytes(body: TraceBody): TraceBody {
  if (body.kind !== 'operation' || !body.data) return body;
  const { data: _, ...told } = body;
  return told;
}

interface PathRule {
  readonly isKey: (key: string) => boolean;
  readonly field: string;
}

class Redaction {
  values = 0;
  readonly #known = new KnownSecrets();
  #isLearning = false;
  readonly #pseudonym: (secret: string) => string;
  readonly #paths: readonly PathRule[];
  readonly #patterns: readonly RE2JS[];

  constructor({ paths = [], patterns = [], pseudonym }: RedactOptions) {
    this.#pseudonym = pseudonym;
    this.#paths = paths.map(pathRule);
    this.#patterns = [SECRET_TEXT, ...patterns.map(compile)];
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
    this.#isLearning = true;
    this.body(body);
    this.#isLearning = false;
    this.values = 0;
  }

  /** `key`: of the record that the value is in. `isOwn`: whether it is the session's own, and no more the trace's. `name`: of the field. */
  #part(value: Value, key: string | undefined, isOwn: boolean, name: string): Value {
    if (typeof value === 'string') return isOwn ? this.text(value) : this.text(value, LIMITS[name] ?? LIMIT);
    if (typeof value !== 'object' || value === null) return value;
    if (value instanceof Uint8Array) return this.#bytes(value);
    if (Array.isArray(value)) return value.map((one: Value) => this.#part(one, key, isOwn, name));
    return this.#map(value as { readonly [name: string]: Value }, key, isOwn);
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
      return [shown, this.#isSecret(name, key) ? this.#replaced(value) : this.#part(value, key, true, name)];
    });
    return Object.fromEntries(entries);
  }

  #isSecret(name: string, key: string | undefined): boolean {
    if (SECRET_NAME.test(name)) return true;
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
        if (matcher.end() === matcher.start()) continue;
        result += redacted.slice(from, matcher.start()) + this.#counted(redacted.slice(matcher.start(), matcher.end()));
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

/**
 * Root hashes say what a state holds to whoever guesses it, and would not fit what is left of it. Each is replaced by that of the state as it is shown;
 * one of a state that no record shows, by a pseudonym, so that equal ones stay equal.
 */
class RedactedRoots {
  readonly #pseudonym: (secret: string) => string;
  readonly #states = new Map<ReplicaId, Committed>();
  readonly #known = new Map<string, StateHash>();

  constructor(pseudonym: (secret: string) => string) {
    this.#pseudonym = pseudonym;
  }

  follow(record: TraceRecord, body: TraceBody): TraceBody {
    const before = this.#states.get(record.replica) ?? nothingKnown;
    if (body.kind === 'commit' || body.kind === 'apply' || body.kind === 'snapshot') {
      const root = this.#rootAfter(before, body);
      if (root) this.#known.set(body.root, root.hash);
    }
    const mapped = this.#mapped(body as unknown as { readonly [name: string]: Value }) as unknown as TraceBody;
    this.#states.set(record.replica, advance(before, { ...record, body: mapped }, undefined));
    return mapped;
  }

  #rootAfter(
    before: Committed,
    body: TraceBody & { readonly kind: 'commit' | 'apply' | 'snapshot' },
  ): StateRoot | undefined {
    try {
      if (body.kind === 'snapshot')
        return StateRoot.from(body.records.map(({ key, record }) => [key, record as SyncRecord] as const));
      return before.unknown === undefined ? before.root.apply(body.changes) : undefined;
    } catch {
      return undefined;
    }
  }

  #mapped(body: { readonly [name: string]: Value }): Value {
    return Object.fromEntries(
      Object.entries(body).map(([name, value]) => [
        name,
        HASHES.has(name) && typeof value === 'string' && /^[0-9a-f]{16}$/.test(value) ? this.#hash(value) : value,
      ]),
    );
  }

  #hash(hash: string): string {
    const known = this.#known.get(hash);
    if (known !== undefined) return known;
    let word = 0n;
    for (const character of this.#pseudonym(hash))
      word = BigInt.asUintN(64, word * 0x100000001b3n + BigInt(character.codePointAt(0)!));
    return word.toString(16).padStart(16, '0');
  }
}

const HASHES: ReadonlySet<string> = new Set(['root', 'own', 'reference', 'expected', 'got', 'base']);
