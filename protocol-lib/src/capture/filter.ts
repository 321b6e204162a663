import { SyncError } from '../errors/index.ts';
import { TRACE_KINDS, type TraceKind, type TraceRecord } from '../trace/index.ts';
import { hashText } from './byte-names.ts';
import type { CaptureIndex } from './capture-index.ts';
import { KIND } from './envelope.ts';
import { FLAG, SEVERITIES } from './flags.ts';

/**
 * The stream's filter: terms separated by spaces, all of which must pass.
 *
 *     kind:delta  replica:bot-2  who:bot-2  type:ACK  key:item/golden_key  key:item/*
 *     version:118  version:118..121  severity:error  -kind:hash  kind:apply|commit  "any words"
 *
 * A bare word is looked for in the row's summary, whatever its case. `|` parts alternatives, `-` before a
 * term turns it round, quotes keep spaces together. There are no regular expressions, so nothing a
 * filter says can take long.
 */
export const FILTER_FIELDS = ['kind', 'replica', 'who', 'type', 'key', 'version', 'severity'] as const;
export type FilterField = (typeof FILTER_FIELDS)[number];

/** Where a word of the filter lies in its text. */
interface Span {
  readonly text: string;
  readonly offset: number;
}

export interface FilterTerm {
  readonly isNegated: boolean;
  /** Absent for words that are looked for in the summary. */
  readonly field?: Exclude<FilterField, 'who'>;
  /** One of these must pass. */
  readonly values: readonly Span[];
}

const MAX_FILTER_LENGTH = 2_000;

/** @throws SyncError `FILTER_SYNTAX` with the offset in the text, saying what was expected there */
export function parseFilter(text: string): FilterTerm[] {
  if (text.length > MAX_FILTER_LENGTH) throw syntax(MAX_FILTER_LENGTH, `at most ${MAX_FILTER_LENGTH} characters`);
  const terms: FilterTerm[] = [];
  let at = 0;
  while (at < text.length) {
    if (isSpace(text[at]!)) {
      at++;
      continue;
    }
    const parsed = parseTerm(text, at);
    terms.push(parsed.term);
    at = parsed.end;
  }
  return terms;
}

function parseTerm(text: string, start: number): { term: FilterTerm; end: number } {
  const isNegated = text[start] === '-';
  let at = isNegated ? start + 1 : start;
  if (at >= text.length || isSpace(text[at]!)) throw syntax(at, 'a term after -');
  const name = /^[A-Za-z]+(?=:)/.exec(text.slice(at, at + 20))?.[0];
  const field = name === undefined ? undefined : fieldOf(name, at);
  if (name !== undefined) at += name.length + 1;
  const values: Span[] = [];
  for (;;) {
    const value = parseValue(text, at, field);
    values.push(value.span);
    at = value.end;
    if (text[at] !== '|') break;
    at++;
  }
  if (at < text.length && !isSpace(text[at]!)) throw syntax(at, 'a space between terms');
  if (field !== undefined) for (const value of values) checkValue(field, value);
  return { term: { isNegated, values, ...(field === undefined ? {} : { field }) }, end: at };
}

function fieldOf(name: string, offset: number): Exclude<FilterField, 'who'> {
  const lower = name.toLowerCase();
  const found = FILTER_FIELDS.find((one) => one === lower);
  if (!found)
    throw syntax(offset, `one of ${FILTER_FIELDS.join(', ')} before the colon; put words with a colon in quotes`);
  return found === 'who' ? 'replica' : found;
}

function parseValue(text: string, start: number, field: string | undefined): { span: Span; end: number } {
  if (text[start] === '"') {
    const end = text.indexOf('"', start + 1);
    if (end < 0) throw syntax(text.length, 'a closing quote');
    return { span: { text: text.slice(start + 1, end), offset: start + 1 }, end: end + 1 };
  }
  let end = start;
  while (end < text.length && !isSpace(text[end]!) && text[end] !== '|' && text[end] !== '"') end++;
  if (end === start) throw syntax(start, field ? `a value for ${field}` : 'a word');
  return { span: { text: text.slice(start, end), offset: start }, end };
}

function checkValue(field: Exclude<FilterField, 'who'>, value: Span): void {
  switch (field) {
    case 'kind':
      if (!(TRACE_KINDS as readonly string[]).includes(value.text)) {
        throw syntax(value.offset, `a kind: ${TRACE_KINDS.join(', ')}`);
      }
      return;
    case 'severity':
      if (!(SEVERITIES as readonly string[]).includes(value.text)) {
        throw syntax(value.offset, `a severity: ${SEVERITIES.join(', ')}`);
      }
      return;
    case 'version':
      if (!parseVersions(value.text)) throw syntax(value.offset, 'a version such as 118, or a range such as 118..121');
      return;
    default:
      return;
  }
}

function parseVersions(text: string): { from: number; to: number } | undefined {
  const found = /^v?(\d{1,15})(?:\.\.v?(\d{1,15}))?$/.exec(text);
  if (!found) return undefined;
  const from = Number(found[1]);
  return { from, to: found[2] === undefined ? from : Number(found[2]) };
}

function isSpace(character: string): boolean {
  return character === ' ' || character === '\t' || character === '\n';
}

function syntax(offset: number, expected: string): SyncError {
  return new SyncError('FILTER_SYNTAX', `expected ${expected}`, { origin: 'query', place: { offset } });
}

/** A filter ready to be asked of records. */
export interface CompiledFilter {
  /** False where the index alone rules the record out. */
  mayPass(position: number): boolean;
  /** Whether {@link passes} must be asked as well. */
  readonly needsRecord: boolean;
  passes(record: TraceRecord, summary: string): boolean;
}

type ColumnTest = (position: number) => boolean;
type RecordTest = (record: TraceRecord, summary: string) => boolean;

/** @throws SyncError `FILTER_SYNTAX` */
export function compileFilter(text: string, index: CaptureIndex): CompiledFilter {
  const columnTests: ColumnTest[] = [];
  const recordTests: RecordTest[] = [];
  for (const term of parseFilter(text)) {
    const column = columnTest(term, index);
    if (column) columnTests.push(term.isNegated ? (position) => !column(position) : column);
    const record = recordTest(term);
    if (!record) continue;
    recordTests.push(term.isNegated ? (one, summary) => !record(one, summary) : record);
    if (term.field === 'key' && !term.isNegated) columnTests.push(keyTest(term, index));
  }
  return {
    mayPass: (position) => columnTests.every((test) => test(position)),
    needsRecord: recordTests.length > 0,
    passes: (record, summary) => recordTests.every((test) => test(record, summary)),
  };
}

function columnTest(term: FilterTerm, index: CaptureIndex): ColumnTest | undefined {
  const columns = index.columns;
  const texts = term.values.map((value) => value.text);
  switch (term.field) {
    case 'kind': {
      const kinds = new Set(texts.map((text) => KIND[text as TraceKind]));
      return (position) => kinds.has(columns.kind(position));
    }
    case 'severity': {
      const severities = new Set(texts.map((text) => SEVERITIES.indexOf(text as (typeof SEVERITIES)[number])));
      return (position) => severities.has(columns.flags(position) & FLAG.severity);
    }
    case 'replica':
      // Names may come up only later in a growing capture, so they are looked up each time by number.
      return (position) => texts.includes(index.nameOf(columns.replica(position)));
    case 'type':
      return (position) => {
        const kind = columns.kind(position);
        if (kind !== KIND.send && kind !== KIND.receive) return false;
        return texts.includes(index.typeNames.texts[columns.low(position)] ?? '');
      };
    case 'version': {
      const ranges = texts.map((text) => parseVersions(text)!);
      return (position) => {
        const kind = columns.kind(position);
        if (!VERSIONED.has(kind)) return false;
        const to = columns.number(position);
        const from = kind === KIND.delta ? columns.high(position) + 1 : to;
        return ranges.some((range) => from <= range.to && to >= range.from);
      };
    }
    default:
      return undefined;
  }
}

const VERSIONED = new Set([
  KIND.commit,
  KIND.delta,
  KIND.apply,
  KIND.mismatch,
  KIND.snapshot,
  KIND.hash,
  KIND.prediction,
  KIND.confirmation,
  KIND.rollback,
  KIND.rejection,
  KIND.rebase,
  KIND.divergence,
  KIND.repair,
]);

/** By the hashes of changed keys: right but for chance, which {@link recordTest} rules out. */
function keyTest(term: FilterTerm, index: CaptureIndex): ColumnTest {
  const hashes = new Set(term.values.map((value) => hashText(value.text) | 0));
  const hasPrefix = term.values.some((value) => value.text.endsWith('*'));
  return (position) => {
    const { changedAt, changedKeys } = index;
    for (let at = changedAt.countBelow(position); at < changedAt.length && changedAt.at(at) === position; at++) {
      if (hasPrefix || hashes.has(changedKeys.at(at))) return true;
    }
    return false;
  };
}

function recordTest(term: FilterTerm): RecordTest | undefined {
  if (term.field === 'key') {
    const tests = term.values.map(({ text }) =>
      text.endsWith('*') ? (key: string) => key.startsWith(text.slice(0, -1)) : (key: string) => key === text,
    );
    return (record) => keysOf(record).some((key) => tests.some((test) => test(key)));
  }
  if (term.field !== undefined) return undefined;
  const words = term.values.map((value) => value.text.toLowerCase());
  return (_, summary) => {
    const lower = summary.toLowerCase();
    return words.some((word) => lower.includes(word));
  };
}

/** Keys of the records that a trace record changes, or finds to differ. */
export function keysOf(record: TraceRecord): string[] {
  const body = record.body;
  switch (body.kind) {
    case 'commit':
    case 'apply':
    case 'prediction':
      return body.changes.map((change) => change.key);
    case 'divergence':
      return body.differences.map((difference) => difference.key);
    default:
      return [];
  }
}
