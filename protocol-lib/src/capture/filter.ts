import type { RecordKey, Value } from '../state/index.ts';
import type { TraceKind, TraceRecord } from '../trace/index.ts';
import { hashText } from './byte-names.ts';
import type { CaptureIndex } from './capture-index.ts';
import { KIND } from './envelope.ts';
import { type Comparison, type FilterNode, type FilterTerm, parseFilter, parseVersions } from './filter-syntax.ts';
import { compares, valuesAt } from './filter-values.ts';
import { FLAG, SEVERITIES } from './flags.ts';
import { HappenedBefore } from './happened-before.ts';

/** What the columns alone say of a record. */
export const VERDICT = { no: 0, yes: 1, maybe: 2 } as const;
export type ColumnVerdict = (typeof VERDICT)[keyof typeof VERDICT];

/** A filter ready to be asked of records. */
export interface CompiledFilter {
  /** Looks up what columns and records do not tell, for positions below `end`; to be awaited before they are asked of. */
  prepare(end: number): Promise<void>;
  /** From the index alone; where `maybe`, the record itself must be asked. */
  judge(position: number): ColumnVerdict;
  passes(record: TraceRecord, summary: string, position: number): boolean;
}

/** How a value of one replica's state changed: it has `values[i]` from `positions[i]` on. */
export interface ValueSteps {
  readonly replica: number;
  readonly positions: readonly number[];
  readonly values: readonly (Value | undefined)[];
}

/** What a filter may ask of a capture beside its index. */
export interface FilterSource {
  readonly index: CaptureIndex;
  /** The records under a key over time, on every replica, up to `end`. */
  valueSteps(key: RecordKey, end: number): Promise<ValueSteps[]>;
}

interface Test {
  judge(position: number): ColumnVerdict;
  passes(record: TraceRecord, summary: string, position: number): boolean;
}

/** @throws SyncError `FILTER_SYNTAX` */
export function compileFilter(text: string, source: FilterSource): CompiledFilter {
  const preparations: ((end: number) => Promise<void>)[] = [];
  const test = compileNode(parseFilter(text), source, preparations);
  return {
    async prepare(end) {
      for (const preparation of preparations) await preparation(end);
    },
    judge: (position) => test.judge(position),
    passes: (record, summary, position) => test.passes(record, summary, position),
  };
}

type Preparations = ((end: number) => Promise<void>)[];

function compileNode(node: FilterNode, source: FilterSource, preparations: Preparations): Test {
  switch (node.type) {
    case 'all':
      return allOf(node.nodes.map((one) => compileNode(one, source, preparations)));
    case 'any':
      return anyOf(node.nodes.map((one) => compileNode(one, source, preparations)));
    case 'not':
      return negated(compileNode(node.node, source, preparations));
    default:
      return compileTerm(node, source, preparations);
  }
}

function allOf(tests: readonly Test[]): Test {
  return {
    judge(position) {
      let verdict: ColumnVerdict = VERDICT.yes;
      for (const test of tests) {
        const one = test.judge(position);
        if (one === VERDICT.no) return VERDICT.no;
        if (one === VERDICT.maybe) verdict = VERDICT.maybe;
      }
      return verdict;
    },
    passes: (record, summary, position) => tests.every((test) => settled(test, record, summary, position)),
  };
}

function anyOf(tests: readonly Test[]): Test {
  return {
    judge(position) {
      let verdict: ColumnVerdict = VERDICT.no;
      for (const test of tests) {
        const one = test.judge(position);
        if (one === VERDICT.yes) return VERDICT.yes;
        if (one === VERDICT.maybe) verdict = VERDICT.maybe;
      }
      return verdict;
    },
    passes: (record, summary, position) => tests.some((test) => settled(test, record, summary, position)),
  };
}

function negated(test: Test): Test {
  return {
    judge(position) {
      const verdict = test.judge(position);
      return verdict === VERDICT.maybe ? VERDICT.maybe : verdict === VERDICT.yes ? VERDICT.no : VERDICT.yes;
    },
    passes: (record, summary, position) => !settled(test, record, summary, position),
  };
}

/** The record is asked only where the columns leave it open. */
function settled(test: Test, record: TraceRecord, summary: string, position: number): boolean {
  const verdict = test.judge(position);
  return verdict === VERDICT.maybe ? test.passes(record, summary, position) : verdict === VERDICT.yes;
}

function byColumns(test: (position: number) => boolean): Test {
  return {
    judge: (position) => (test(position) ? VERDICT.yes : VERDICT.no),
    passes: (_record, _summary, position) => test(position),
  };
}

function byRecord(passes: Test['passes'], mayPass: (position: number) => boolean = () => true): Test {
  return { judge: (position) => (mayPass(position) ? VERDICT.maybe : VERDICT.no), passes };
}

function compileTerm(term: FilterTerm, source: FilterSource, preparations: Preparations): Test {
  const { index } = source;
  switch (term.type) {
    case 'words': {
      const words = term.values.map((value) => value.text.toLowerCase());
      return byRecord((_, summary) => {
        const lower = summary.toLowerCase();
        return words.some((word) => lower.includes(word));
      });
    }
    case 'pattern':
      return byRecord((_, summary) => term.pattern.matcher(summary).find());
    case 'field':
      return compileField(term, index);
    case 'number':
      return compileNumber(term, index);
    case 'body':
      return compileBody(term, index);
    case 'state':
      return compileState(term, source, preparations);
    case 'changes':
      return compileChanges(term, index);
    case 'relation': {
      const order = new HappenedBefore(index, term.seq);
      preparations.push(async (end) => order.prepare(end));
      return byColumns((position) => order.holds(term.relation, position));
    }
  }
}

function compileField(term: FilterTerm & { readonly type: 'field' }, index: CaptureIndex): Test {
  const { columns } = index;
  const texts = term.values.map((value) => value.text);
  switch (term.field) {
    case 'kind': {
      const kinds = new Set(texts.map((text) => KIND[text as TraceKind]));
      return byColumns((position) => kinds.has(columns.kind(position)));
    }
    case 'severity': {
      const severities = new Set(texts.map((text) => SEVERITIES.indexOf(text as (typeof SEVERITIES)[number])));
      return byColumns((position) => severities.has(columns.flags(position) & FLAG.severity));
    }
    case 'replica':
      // Names may come up only later in a growing capture, so they are looked up each time by number.
      return byColumns((position) => texts.includes(index.nameOf(columns.replica(position))));
    case 'type':
      return byColumns((position) => {
        const kind = columns.kind(position);
        if (kind !== KIND.send && kind !== KIND.receive) return false;
        return texts.includes(index.typeNames.texts[columns.low(position)] ?? '');
      });
    case 'version': {
      const ranges = texts.map((text) => parseVersions(text)!);
      return byColumns((position) => {
        if (!VERSIONED.has(columns.kind(position))) return false;
        const to = columns.number(position);
        return ranges.some((range) => firstVersion(index, position) <= range.to && to >= range.from);
      });
    }
    case 'key': {
      const tests = texts.map(keyTest);
      return byRecord(
        (record) => keysOf(record).some((key) => tests.some((test) => test(key))),
        mayChange(texts, index),
      );
    }
  }
}

function keyTest(text: string): (key: string) => boolean {
  return text.endsWith('*') ? (key) => key.startsWith(text.slice(0, -1)) : (key) => key === text;
}

/** By the hashes of changed keys: right but for chance, which the record itself rules out. */
function mayChange(keys: readonly string[], index: CaptureIndex): (position: number) => boolean {
  const hashes = new Set(keys.map((key) => hashText(key) | 0));
  const hasPrefix = keys.some((key) => key.endsWith('*'));
  return (position) => {
    const { changedAt, changedKeys } = index;
    for (let at = changedAt.countBelow(position); at < changedAt.length && changedAt.at(at) === position; at++) {
      if (hasPrefix || hashes.has(changedKeys.at(at))) return true;
    }
    return false;
  };
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

/** The first version that a record speaks of: a delta speaks of all that it leads through. */
function firstVersion({ columns }: CaptureIndex, position: number): number {
  return columns.kind(position) === KIND.delta ? columns.high(position) + 1 : columns.number(position);
}

function compileNumber({ field, op, value }: FilterTerm & { readonly type: 'number' }, index: CaptureIndex): Test {
  const { columns } = index;
  switch (field) {
    case 'bytes':
      return byColumns((position) => compares(columns.frame(position), op, value));
    case 'time':
      return byColumns((position) => compares(columns.time(position), op, value));
    case 'position':
      return byColumns((position) => compares(position, op, value));
    case 'seq':
      return byColumns((position) => compares(index.seqAt(position), op, value));
    case 'version':
      return byColumns(
        (position) =>
          VERSIONED.has(columns.kind(position)) &&
          comparesRange(firstVersion(index, position), columns.number(position), op, value),
      );
  }
}

/** Whether any version from `first` to `last` passes. */
function comparesRange(first: number, last: number, op: Comparison, value: number): boolean {
  if (op === '=') return first <= value && value <= last;
  return compares(op === '<' || op === '<=' ? first : last, op, value);
}

function compileBody({ path, op, value }: FilterTerm & { readonly type: 'body' }, index: CaptureIndex): Test {
  const passes: Test['passes'] = (record) =>
    valuesAt(record.body as unknown as Value, path).some((one) => compares(one, op, value));
  // The kind stands in the columns too.
  if (path[0] !== 'kind' || path.length > 1) return byRecord(passes);
  return byColumns((position) => compares(index.kindAt(position), op, value));
}

/** By the value that the record's own replica has under a key after the record. */
function compileState(
  { key, path, op, value }: FilterTerm & { readonly type: 'state' },
  source: FilterSource,
  preparations: Preparations,
): Test {
  let steps = new Map<number, ValueSteps>();
  let preparedTo = -1;
  preparations.push(async (end) => {
    if (end <= preparedTo) return;
    steps = new Map((await source.valueSteps(key as RecordKey, end)).map((one) => [one.replica, one]));
    preparedTo = end;
  });
  return byColumns((position) => {
    const of = steps.get(source.index.columns.replica(position));
    const record = of && valueFrom(of, position);
    return valuesAt(record, path).some((one) => compares(one, op, value));
  });
}

function valueFrom({ positions, values }: ValueSteps, position: number): Value | undefined {
  let low = 0;
  let high = positions.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (positions[middle]! <= position) low = middle + 1;
    else high = middle;
  }
  return values[low - 1];
}

function compileChanges({ key, field }: FilterTerm & { readonly type: 'changes' }, index: CaptureIndex): Test {
  const test = keyTest(key);
  return byRecord((record) => touches(record, test, field), mayChange([key], index));
}

function touches({ body }: TraceRecord, isKey: (key: string) => boolean, field: string | undefined): boolean {
  switch (body.kind) {
    case 'commit':
    case 'apply':
    case 'prediction':
      return body.changes.some((change) => {
        if (!isKey(change.key)) return false;
        if (field === undefined || change.op === 'remove') return true;
        if (change.op === 'put') return Object.hasOwn(change.record, field);
        return Object.hasOwn(change.fields, field) || change.removed.includes(field);
      });
    case 'divergence':
      return body.differences.some(
        ({ key, own, theirs }) =>
          isKey(key) &&
          (field === undefined || !compares(own?.[field] ?? null, '=', (theirs?.[field] ?? null) as never)),
      );
    default:
      return false;
  }
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
