import { sameValue } from '../merkle/index.ts';
import type { RecordKey, Value } from '../state/index.ts';
import { TRACE_KINDS, type TraceKind, type TraceRecord } from '../trace/index.ts';
import { type ByteNames, hashText } from './byte-names.ts';
import type { CaptureIndex } from './capture-index.ts';
import { changesPath } from './change-paths.ts';
import { type ColumnPage, type Columns, PAGE_RECORDS, slotOf } from './columns.ts';
import { KIND } from './envelope.ts';
import {
  type Comparison,
  type FilterNode,
  type FilterTerm,
  INPUTS,
  parseFilter,
  parseVersions,
} from './filter-syntax.ts';
import { compares, numberTest, valuesAt } from './filter-values.ts';
import { FLAG, SEVERITIES } from './flags.ts';
import { HappenedBefore } from './happened-before.ts';

/** What the columns alone say of a record. In this order `and` is the least of two, `or` the greatest, and `not` takes it from `yes` (Kleene's three values). */
export const VERDICT = { no: 0, maybe: 1, yes: 2 } as const;

/** A filter ready to be asked of records. */
export interface CompiledFilter extends Test {
  /** Looks up what columns and records do not tell, for positions below `end`; to be awaited before they are asked of. */
  prepare(end: number): Promise<void>;
  /** Whether that works out states, which takes much longer than looking at columns. */
  readonly isSlowToPrepare: boolean;
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
  /** The records under a key over time, on every replica, from `from` up to `end`. */
  valueSteps(key: RecordKey, from: number, end: number): Promise<ValueSteps[]>;
}

/** What a record says, which is all that a filter looks at in it. */
export type Said = Pick<TraceRecord, 'body'>;

interface Test {
  /**
   * From the index alone: a {@link VERDICT} for each of the `count` records from position `from` on, which lie in one page of the
   * columns, into `out`. Where it is `maybe`, the record itself must be asked.
   */
  judge(from: number, count: number, out: Uint8Array): void;
  passes(record: Said, summary: () => string, position: number): boolean;
}

/** @throws SyncError `FILTER_SYNTAX` */
export function compileFilter(text: string, source: FilterSource): CompiledFilter {
  const preparations: Preparations = [];
  const test = compileNode(parseFilter(text), source, preparations);
  return {
    async prepare(end) {
      for (const { prepare } of preparations) await prepare(end);
    },
    isSlowToPrepare: preparations.some(({ isSlow }) => isSlow),
    judge: test.judge,
    passes: test.passes,
  };
}

type Preparations = { readonly isSlow: boolean; prepare(end: number): Promise<void> }[];

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
    judge: joined(tests, VERDICT.yes, (left, right, count) => {
      for (let at = 0; at < count; at++) if (right[at]! < left[at]!) left[at] = right[at]!;
    }),
    passes: (record, summary, position) => tests.every((test) => test.passes(record, summary, position)),
  };
}

function anyOf(tests: readonly Test[]): Test {
  return {
    judge: joined(tests, VERDICT.no, (left, right, count) => {
      for (let at = 0; at < count; at++) if (right[at]! > left[at]!) left[at] = right[at]!;
    }),
    passes: (record, summary, position) => tests.some((test) => test.passes(record, summary, position)),
  };
}

/** The first test's verdicts with those of each other joined in; `none` where there are no tests. */
function joined(
  tests: readonly Test[],
  none: number,
  join: (left: Uint8Array, right: Uint8Array, count: number) => void,
): Test['judge'] {
  const [first, ...others] = tests;
  const scratch = new Uint8Array(others.length > 0 ? PAGE_RECORDS : 0);
  return (from, count, out) => {
    if (first) first.judge(from, count, out);
    else out.fill(none, 0, count);
    for (const other of others) {
      other.judge(from, count, scratch);
      join(out, scratch, count);
    }
  };
}

function negated(test: Test): Test {
  return {
    judge(from, count, out) {
      test.judge(from, count, out);
      for (let at = 0; at < count; at++) out[at] = VERDICT.yes - out[at]!;
    },
    passes: (record, summary, position) => !test.passes(record, summary, position),
  };
}

/** A test that the columns settle. */
function byColumns(judge: Test['judge']): Test {
  const one = new Uint8Array(1);
  return {
    judge,
    passes(_record, _summary, position) {
      judge(position, 1, one);
      return one[0] === VERDICT.yes;
    },
  };
}

/** By what a table says of a number that a column has of each record. */
function byTable(
  columns: Columns,
  values: (page: ColumnPage) => Uint8Array | Uint16Array,
  table: () => Uint8Array,
): Test {
  return byColumns((from, count, out) => {
    const numbers = values(columns.page(from));
    const verdicts = table();
    const slot = slotOf(from);
    for (let at = 0; at < count; at++) out[at] = verdicts[numbers[slot + at]!]!;
  });
}

/** Record by record. */
function byPosition(test: (position: number) => boolean): Test {
  return byColumns((from, count, out) => {
    for (let at = 0; at < count; at++) out[at] = test(from + at) ? VERDICT.yes : VERDICT.no;
  });
}

/** By a number that a column has of each record. */
function byNumber(
  columns: Columns,
  values: (page: ColumnPage) => Float64Array | Uint32Array,
  test: (value: number) => boolean,
): Test {
  return byColumns((from, count, out) => {
    const numbers = values(columns.page(from));
    const slot = slotOf(from);
    for (let at = 0; at < count; at++) out[at] = test(numbers[slot + at]!) ? VERDICT.yes : VERDICT.no;
  });
}

/** A test of which only the record knows. */
function byRecord(passes: Test['passes'], judge: Test['judge'] = allMaybe): Test {
  return { judge, passes };
}

function allMaybe(_from: number, count: number, out: Uint8Array): void {
  out.fill(VERDICT.maybe, 0, count);
}

/** Verdicts by a number: of the numbers up to `length`. */
function tableOf(length: number, test: (number: number) => boolean): Uint8Array {
  return Uint8Array.from({ length }, (_, number) => (test(number) ? VERDICT.yes : VERDICT.no));
}

/** A table over names, made again where more of them have come up: a capture may grow. */
function nameTable(names: ByteNames, wanted: readonly string[]): () => Uint8Array {
  let table = new Uint8Array(0);
  return () => {
    if (table.length !== names.texts.length) {
      table = new Uint8Array(tableOf(names.texts.length, (number) => wanted.includes(names.texts[number]!)));
    }
    return table;
  };
}

function compileTerm(term: FilterTerm, source: FilterSource, preparations: Preparations): Test {
  const { index } = source;
  switch (term.type) {
    case 'words': {
      const words = term.values.map((value) => value.text.toLowerCase());
      return byRecord((_, summary) => {
        const lower = summary().toLowerCase();
        return words.some((word) => lower.includes(word));
      });
    }
    case 'pattern':
      return byRecord((_, summary) => term.pattern.matcher(summary()).find());
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
      preparations.push({ isSlow: false, prepare: async (end) => order.prepare(end) });
      return byPosition((position) => order.holds(term.relation, position));
    }
  }
}

function compileField(term: FilterTerm & { readonly type: 'field' }, index: CaptureIndex): Test {
  const { columns } = index;
  const texts = term.values.map((value) => value.text);
  switch (term.field) {
    case 'kind': {
      const kinds = new Set(texts.map((text) => KIND[text as TraceKind]));
      const table = tableOf(TRACE_KINDS.length, (kind) => kinds.has(kind));
      const test = byTable(
        columns,
        (page) => page.kind,
        () => table,
      );
      return texts.includes(INPUTS) ? anyOf([test, byInputs(columns)]) : test;
    }
    case 'severity': {
      const severities = new Set(texts.map((text) => SEVERITIES.indexOf(text as (typeof SEVERITIES)[number])));
      const table = tableOf(0x1_0000, (flags) => severities.has(flags & FLAG.severity));
      return byTable(
        columns,
        (page) => page.flags,
        () => table,
      );
    }
    case 'replica':
      return byTable(columns, (page) => page.replica, nameTable(index.replicaNames, texts));
    case 'type':
      return byType(index, nameTable(index.typeNames, texts));
    case 'version': {
      const ranges = texts.map((text) => parseVersions(text)!);
      return byVersions(columns, (first, last) => ranges.some((range) => first <= range.to && last >= range.from));
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

/** Logs that only carry inputs. */
function byInputs(columns: Columns): Test {
  return byColumns((from, count, out) => {
    const { kind, number } = columns.page(from);
    const slot = slotOf(from);
    for (let at = 0; at < count; at++) {
      const isOne = kind[slot + at] === KIND.log && number[slot + at] === 1;
      out[at] = isOne ? VERDICT.yes : VERDICT.no;
    }
  });
}

function byType({ columns }: CaptureIndex, table: () => Uint8Array): Test {
  return byColumns((from, count, out) => {
    const { kind, low } = columns.page(from);
    const verdicts = table();
    const slot = slotOf(from);
    for (let at = 0; at < count; at++) {
      const of = kind[slot + at];
      const isMessage = of === KIND.send || of === KIND.receive;
      out[at] = isMessage ? (verdicts[low[slot + at]!] ?? VERDICT.no) : VERDICT.no;
    }
  });
}

/** By the versions that a record speaks of, first and last: a delta speaks of all that it leads through. */
function byVersions(columns: Columns, test: (first: number, last: number) => boolean): Test {
  return byColumns((from, count, out) => {
    const { kind, number, high } = columns.page(from);
    const slot = slotOf(from);
    for (let at = 0; at < count; at++) {
      const of = kind[slot + at]!;
      const last = number[slot + at]!;
      const passes = VERSIONED[of] === VERDICT.yes && test(of === KIND.delta ? high[slot + at]! + 1 : last, last);
      out[at] = passes ? VERDICT.yes : VERDICT.no;
    }
  });
}

function keyTest(text: string): (key: string) => boolean {
  return text.endsWith('*') ? (key) => key.startsWith(text.slice(0, -1)) : (key) => key === text;
}

/** By the hashes of changed keys: right but for chance, which the record itself rules out. */
function mayChange(keys: readonly string[], index: CaptureIndex): Test['judge'] {
  const hashes = new Set(keys.map((key) => hashText(key) | 0));
  const hasPrefix = keys.some((key) => key.endsWith('*'));
  return (from, count, out) => {
    const { changedAt, changedKeys } = index;
    out.fill(VERDICT.no, 0, count);
    const until = changedAt.countBelow(from + count);
    for (let at = changedAt.countBelow(from); at < until; at++) {
      if (hasPrefix || hashes.has(changedKeys.at(at))) out[changedAt.at(at) - from] = VERDICT.maybe;
    }
  };
}

const VERSIONED_KINDS = new Set<number>([
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
const VERSIONED = tableOf(TRACE_KINDS.length, (kind) => VERSIONED_KINDS.has(kind));

function compileNumber({ field, op, value }: FilterTerm & { readonly type: 'number' }, index: CaptureIndex): Test {
  const { columns } = index;
  const test = numberTest(op, value);
  switch (field) {
    case 'bytes':
      return byNumber(columns, (page) => page.frame, test);
    case 'time':
      return byNumber(columns, (page) => page.time, test);
    case 'position':
      return byPosition(test);
    case 'seq':
      return byPosition((position) => test(index.seqAt(position)));
    case 'version':
      return byVersions(columns, (first, last) => comparesRange(first, last, op, value));
  }
}

/** Whether any version from `first` to `last` passes. */
function comparesRange(first: number, last: number, op: Comparison, value: number): boolean {
  if (op === '=') return first <= value && value <= last;
  const test = numberTest(op, value);
  return test(first) || test(last);
}

function compileBody({ path, op, value }: FilterTerm & { readonly type: 'body' }, index: CaptureIndex): Test {
  const passes: Test['passes'] = (record) =>
    valuesAt(record.body as unknown as Value, path).some((one) => compares(one, op, value));
  // The kind stands in the columns too.
  if (path[0] !== 'kind' || path.length > 1) return byRecord(passes);
  const table = tableOf(TRACE_KINDS.length, (kind) => compares(TRACE_KINDS[kind], op, value));
  return byTable(
    index.columns,
    (page) => page.kind,
    () => table,
  );
}

/** By the value that the record's own replica has under a key after the record, in any reading of the path. */
function compileState(
  { readings, op, value }: FilterTerm & { readonly type: 'state' },
  source: FilterSource,
  preparations: Preparations,
): Test {
  const read = readings.map(({ key, path }) => ({ key, path, to: 0, steps: new Map<number, ValueSteps>() }));
  let records = -1;
  const prepare = async (end: number): Promise<void> => {
    if (records !== source.index.end) {
      // What comes later may tell more of what was before, so of a capture that has grown nothing is kept.
      records = source.index.end;
      for (const one of read) Object.assign(one, { to: 0, steps: new Map() });
    }
    for (const one of read) {
      if (end <= one.to) continue;
      const further = await source.valueSteps(one.key as RecordKey, one.to, end);
      one.steps = new Map(further.map((step) => [step.replica, continued(one.steps.get(step.replica), step)]));
      one.to = end;
    }
  };
  preparations.push({ isSlow: true, prepare });
  return byPosition((position) => {
    const replica = source.index.columns.replica(position);
    return read.some(({ path, steps }) => {
      const of = steps.get(replica);
      const record = of && valueFrom(of, position);
      return valuesAt(record, path).some((one) => compares(one, op, value));
    });
  });
}

function continued(before: ValueSteps | undefined, { replica, positions, values }: ValueSteps): ValueSteps {
  if (!before) return { replica, positions, values };
  return { replica, positions: [...before.positions, ...positions], values: [...before.values, ...values] };
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

function compileChanges({ readings }: FilterTerm & { readonly type: 'changes' }, index: CaptureIndex): Test {
  const tests = readings.map(({ key, path }) => ({ isKey: keyTest(key), path }));
  return byRecord(
    (record) => tests.some(({ isKey, path }) => touches(record, isKey, path)),
    mayChange(
      readings.map(({ key }) => key),
      index,
    ),
  );
}

function touches({ body }: Said, isKey: (key: string) => boolean, path: readonly string[]): boolean {
  switch (body.kind) {
    case 'commit':
    case 'apply':
    case 'prediction':
      return body.changes.some((change) => isKey(change.key) && changesPath(change, path));
    case 'divergence':
      return body.differences.some(
        ({ key, own, theirs }) => isKey(key) && !sameValues(valuesAt(own, path), valuesAt(theirs, path)),
      );
    default:
      return false;
  }
}

function sameValues(left: readonly Value[], right: readonly Value[]): boolean {
  return left.length === right.length && left.every((one, at) => sameValue(one, right[at]!));
}

/** Keys of the records that a trace record changes, or finds to differ. */
export function keysOf(record: Said): string[] {
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
