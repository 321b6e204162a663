import { RE2JS } from 're2js';
import { fromBase64 } from './base64.ts';

/** Names of fields and of keys in queries that hold secrets, whatever their case. */
const NAMES =
  'authori[sz]ation|cookie|passw(?:or)?d|passphrase|secret|token|api[-_]?key|session[-_]?id|credential|private[-_]?key';
const SECRET_NAME = new RegExp(NAMES, 'i');
/** With a number: how many there are. */
const COUNT_NAME = /tokens$/i;
const COUNT_TEXT = /^\\*"[^"]*tokens\\*"\s*:\s*-?[0-9]/i;
/** Short names that hold secrets in queries only. */
const QUERY_NAMES = 'key|auth|sig|signature|code';
/** What says of a text that it is a credential, whatever it is called. */
const SELF_EVIDENT =
  'gh[pousr]_|github_pat_|glpat-|xox[abeprs]-|[sr]k_live_|sk-[a-z0-9_-]{16}|(?:akia|asia)[0-9a-z]{16}|private key-----';
/**
 * Found in every text in which {@link SecretTexts} finds something, and in few others: looking for this costs little. JavaScript has more kinds of space
 * than RE2, so that what must not be one is not said here; with `u`, letters fold as they do there. A word may follow any byte, so that none is asked for.
 */
const SUSPICIOUS = `${NAMES}|(?:${QUERY_NAMES})=|(?:bearer|basic)\\s|eyJ|//[^/:@]+:[^/@]+@|${SELF_EVIDENT}`;

/** A kind of secret text: an expression of which the one group is the secret. */
interface SecretKind {
  readonly source: string;
  /** What in a secret that was found is to be looked for elsewhere, too. Default: nothing, since it may be a word. */
  readonly learned?: (secret: string) => readonly string[];
  /** How a pseudonym stands in its place. Default: bare. */
  readonly shown?: (pseudonym: string) => string;
}

/** Texts of fewer units are not looked for elsewhere where only a text says that they are secret. */
const LEARNED_MIN = 8;
const whole = (secret: string): readonly string[] => (secret.length >= LEARNED_MIN ? [secret] : []);
/** Of a value in JSON, which may itself stand in JSON, and so on: what it says, `depth` times without its escapes. */
function ofJson(depth: number): (secret: string) => readonly string[] {
  return (secret) => {
    let said = secret;
    for (let at = 0; at < depth; at++) said = withoutEscapes(said);
    return whole(said);
  };
}
function withoutEscapes(text: string): string {
  try {
    return JSON.parse(`"${text}"`) as string;
  } catch {
    return text;
  }
}
/** Words are said elsewhere, too. */
const unlessWord = (secret: string): readonly string[] => (/[0-9]/.test(secret) ? whole(secret) : []);
/** Of a header: what comes last after a scheme, or the values of cookies. */
const ATTRIBUTE = /^\s*(?:expires|max-age|domain|path|samesite)=/i;
function ofHeader(secret: string): readonly string[] {
  const pairs = secret.split(/[;,]\s*/).filter((pair) => pair.includes('=') && !ATTRIBUTE.test(pair));
  if (pairs.length === 0) return whole(secret.trim().split(/\s+/).at(-1)!);
  return pairs.flatMap((pair) => whole(pair.slice(pair.indexOf('=') + 1).replaceAll('"', '')));
}

/** What stands for the value of a field that is called one of `names`, in JSON, in queries, and as programs print objects. */
function namedKinds(names: string, isExact: boolean): SecretKind[] {
  const inName = isExact ? '' : String.raw`[^"\\\r\n]*`;
  const inWord = isExact ? '' : String.raw`[\w-]*`;
  const json = String.raw`"${inName}(?:${names})${inName}"\s*:\s*`;
  const quotedInQuotes = String.raw`\\+"${inName}(?:${names})${inName}\\+"\s*:\s*`;
  const quoted = (pseudonym: string): string => `"${pseudonym}"`;
  return [
    { source: String.raw`${json}"((?:[^"\\]|\\.)*)`, learned: ofJson(1) },
    { source: `${json}(-?[0-9][0-9.e+-]*)`, shown: quoted },
    { source: String.raw`${json}\[([^\[\]]+)`, shown: quoted },
    { source: String.raw`${json}\{([^{}]+)`, shown: (pseudonym) => `"redacted":"${pseudonym}"` },
    // What ends the value is a quote with as many backslashes as the one that begins it; more stand before one that is in it.
    { source: String.raw`${quotedInQuotes}\\"((?:[^"\\]|\\{2}(?:\\["\\/]|[^"\\]))*)`, learned: ofJson(2) },
    { source: String.raw`${quotedInQuotes}\\{3}"((?:[^"\\]|\\{4}(?:\\{3}"|\\{4}|[^"\\]))*)`, learned: ofJson(3) },
    { source: String.raw`${quotedInQuotes}\\+"([^"\\]*)`, learned: whole },
    { source: `${quotedInQuotes}(-?[0-9][0-9.e+-]*)` },
    {
      source: String.raw`(?:${names})${inWord}%22(?:%3a|:)(?:%20|\+)?%22((?:[^%&\s"]|%[013-9a-f][0-9a-f]|%2[013-9a-f])+)`,
      learned: whole,
    },
    // The message of an error that quotes what a field held.
    { source: String.raw`(?:${names})[\w/-]*: expected [^"\r\n]* got "((?:[^"\\]|\\.)*)`, learned: whole },
    { source: String.raw`(?:${names})${inWord}'?\s*[:=]\s*'((?:[^'\\]|\\.)*)`, learned: whole },
    { source: String.raw`(?:${names})${inWord}\s*[:=]\s*"((?:[^"\\]|\\.)*)`, learned: whole },
  ];
}

/** Of so many units at least, one of `marks` among them, and without the stop of a sentence: words have no digits. */
function wordWith(marks: string, least: number): string {
  const unit = String.raw`[^\s"',;\x60]`;
  const rest = String.raw`(?:${unit}*[^\s"',;\x60.:!?)])?`;
  const early = Array.from({ length: least }, (_, at) => `${unit}{${at}}[${marks}]${unit}{${least - 1 - at}}`);
  return `(?:${[...early, `${unit}{${least},}[${marks}]`].join('|')})${rest}`;
}

/** What somebody says in a sentence: that it *is* this. What else is said of a secret – that it is missing, or wrong – stays. */
function saidOf(names: string, value: string): SecretKind {
  const whose = String.raw`(?:\s+(?:for|of)\s+[^\s"',;]+)?`;
  const source = String.raw`\b(?:${names})${whose}\s+(?:is|was|->)(?:\s+now)?:?\s+["'\x60]?(${value})`;
  return { source, learned: unlessWord };
}

const KINDS: readonly SecretKind[] = [
  // Headers that hold nothing but credentials.
  {
    source: String.raw`\b(?:proxy-authorization|authorization|set-cookie|cookie|x-api-key):[ \t]*([^\s"][^\r\n"]*)`,
    learned: ofHeader,
  },
  ...namedKinds(NAMES, false),
  { source: String.raw`(?:[?&#;]|\b)[\w-]*(?:${NAMES}|[-_]key)=([^&\s"']{4,})`, learned: unlessWord },
  { source: String.raw`(?:[?&#;]|\b)(?:${QUERY_NAMES})=([^&\s"']{4,})` },
  { source: String.raw`\b(?:passw(?:or)?d|passphrase):\s*([^\s"',;]{4,})`, learned: unlessWord },
  saidOf('passw(?:or)?d|passphrase|secret|token|api[-_]?key', wordWith('0-9', 6)),
  { source: String.raw`(?:bearer|basic)\s+([a-z0-9+/=._~-]{8,})`, learned: unlessWord },
  { source: String.raw`(eyJ[a-z0-9_-]{8,}\.[a-z0-9_-]{8,}\.[a-z0-9_-]*)`, learned: whole },
  {
    source: String.raw`//([^/\s:@]+:[^/\s@]+)@`,
    learned: (secret) => whole(secret.slice(secret.indexOf(':') + 1)),
  },
  {
    source: String.raw`((?:gh[pousr]_|github_pat_|glpat-|xox[abeprs]-|[sr]k_live_|\bsk-)[a-z0-9_-]{16,}|\b(?:akia|asia)[0-9a-z]{16})`,
    learned: whole,
  },
  { source: '-----begin [a-z0-9 ]*private key-----([^-]+)', learned: (secret) => whole(secret.trim()) },
];

/** JSON in base64 begins so. */
const JSON_IN_BASE64 = /eyJ[A-Za-z0-9+/_-]{8,}={0,2}/g;
/** A pseudonym that was put in the place of a secret, with what it may have been shown in. */
const SHOWN = /^\s*(?:"redacted":)?"?redacted-[0-9a-f]{12,16}"?\s*$/;

/** Whether a text is a pseudonym already. */
export function isPseudonym(text: string): boolean {
  return SHOWN.test(text);
}

/** Where pseudonyms stand in a text. */
export function pseudonymsIn(text: string): { readonly from: number; readonly to: number }[] {
  return [...text.matchAll(/redacted-[0-9a-f]{12,16}/g)].map(({ 0: one, index }) => ({
    from: index,
    to: index + one.length,
  }));
}

/** Whether a value may be a secret because it is called so. */
export function isSecretName(name: string): boolean {
  return SECRET_NAME.test(name) && !COUNT_NAME.test(name);
}

/** Whether a value is a secret because it is called so. */
export function isSecretField(name: string, value: unknown): boolean {
  return SECRET_NAME.test(name) && !(typeof value === 'number' && COUNT_NAME.test(name));
}

/** A secret in a text. */
export interface SecretText {
  readonly from: number;
  readonly to: number;
  readonly learned: readonly string[];
  readonly shown: (pseudonym: string) => string;
}

function compiled(kinds: readonly SecretKind[]): RE2JS {
  return RE2JS.compile(kinds.map(({ source }) => source).join('|'), RE2JS.CASE_INSENSITIVE);
}

/** That of all who have no marks, since to make it takes long. */
let ofKinds: RE2JS | undefined;
function unmarked(): RE2JS {
  ofKinds ??= compiled(KINDS);
  return ofKinds;
}

/** Finds what gives itself away as a secret in a text: by what it is, or by what it is called there. */
export class SecretTexts {
  readonly #suspicious: RegExp;
  readonly #nameInBytes: RegExp;
  readonly #pattern: RE2JS;
  /** Whether a field that is called like a count is marked. */
  readonly #isCountSecret: boolean;
  readonly #kinds: readonly SecretKind[];

  /** `marked`: names of fields that are secret beside those that are called so. */
  constructor(marked: readonly string[] = []) {
    this.#isCountSecret = marked.some((name) => COUNT_NAME.test(name));
    const names = [...new Set(marked)].map((name) => name.replaceAll(/[\\^$.*+?()[\]{}|/]/g, '\\$&'));
    const more = names.map((name) => `|${name}`).join('');
    this.#suspicious = new RegExp(SUSPICIOUS + more, 'iu');
    // A name may follow a length, and is followed by anything; those of counts stand in frames without what follows them being known.
    const marks = names.map((name) => `|(?<![A-Za-z0-9_])${name}`).join('');
    this.#nameInBytes = new RegExp(
      `${NAMES.replace('token', 'token(?!s)')}|(?:${QUERY_NAMES})=[^&\\s"']{4}${marks}`,
      'iu',
    );
    const quoted = [...new Set(marked)].map((name) => RE2JS.quote(name)).join('|');
    this.#kinds = [...KINDS, ...(quoted === '' ? [] : markedKinds(quoted))];
    this.#pattern = quoted === '' ? unmarked() : compiled(this.#kinds);
  }

  /** Whether a text may hold such a secret; where not, none is in it. */
  isSuspicious(text: string): boolean {
    return this.#suspicious.test(text);
  }

  /** Whether the name of a secret stands among bytes, as text. */
  isNameIn(text: string): boolean {
    return this.#nameInBytes.test(text);
  }

  /** In order, none over another. `hasSecret`: whether one is in what was unpacked. */
  find(text: string, hasSecret: (unpacked: string) => boolean): SecretText[] {
    return this.isSuspicious(text) ? this.search(text, hasSecret) : [];
  }

  /** The same without asking first whether there may be one. */
  search(text: string, hasSecret: (unpacked: string) => boolean): SecretText[] {
    const found: SecretText[] = [];
    const matcher = this.#pattern.matcher(text);
    while (matcher.find()) {
      if (!this.#isCountSecret && COUNT_TEXT.test(text.slice(matcher.start(), matcher.end()))) continue;
      const group = this.#kinds.findIndex((_, at) => matcher.start(at + 1) >= 0);
      const [from, to] = [matcher.start(group + 1), matcher.end(group + 1)];
      const secret = text.slice(from, to);
      if (secret === '' || isPseudonym(secret)) continue;
      const { learned = () => [], shown = (pseudonym: string) => pseudonym } = this.#kinds[group]!;
      found.push({ from, to, learned: learned(secret), shown });
    }
    return [...found, ...packed(text, found, hasSecret)].sort((left, right) => left.from - right.from);
  }
}

/** A field that an app marks may be called like a word that is said in texts: only where it is quoted, in a query or said to be something that is no word is it that. */
function markedKinds(names: string): SecretKind[] {
  return [
    ...namedKinds(names, true).slice(0, -2),
    { source: String.raw`(?:[?&#;]|\b)(?:${names})=([^&\s"']{4,})`, learned: unlessWord },
    saidOf(names, wordWith('0-9@', 4)),
    { source: String.raw`\b(?:${names})'?\s*:\s*'((?:[^'\\]|\\.)*)`, learned: whole },
  ];
}

/** JSON in base64 with a secret in it, where nothing else was found. */
function packed(
  text: string,
  found: readonly SecretText[],
  hasSecret: (unpacked: string) => boolean,
): readonly SecretText[] {
  return [...text.matchAll(JSON_IN_BASE64)].flatMap(({ 0: base64, index }) => {
    const [from, to] = [index, index + base64.length];
    if (found.some((other) => other.from < to && from < other.to)) return [];
    const unpacked = utf8.decode(fromAnyBase64(base64));
    return hasSecret(unpacked) ? [{ from, to, learned: [], shown: (pseudonym: string) => pseudonym }] : [];
  });
}

const utf8 = new TextDecoder();

/** What can be read of base64 of either alphabet, with its padding or without. */
function fromAnyBase64(text: string): Uint8Array {
  const digits = text.replaceAll('-', '+').replaceAll('_', '/').replace(/=+$/, '');
  const even = digits.length % 4 === 1 ? digits.slice(0, -1) : digits;
  return fromBase64(even.padEnd(Math.ceil(even.length / 4) * 4, '=')) ?? new Uint8Array(0);
}
