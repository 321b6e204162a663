import { MESSAGES } from '../messages/index.ts';
import { TRACE_KINDS } from '../trace/index.ts';
import { FILTER_FIELDS, INPUTS } from './filter-syntax.ts';
import { SEVERITIES } from './flags.ts';
import type { CaptureInfo } from './query.ts';

/** What could stand at the cursor. `from` and `to` are the part of the text that a choice replaces. */
export interface FilterCompletions {
  readonly from: number;
  readonly to: number;
  readonly options: ReadonlyArray<{ readonly text: string; readonly detail: string }>;
}

const FIELD_DETAILS: Readonly<Record<string, string>> = {
  kind: 'what kind of record it is',
  replica: 'whose record it is',
  who: 'the same as replica',
  type: 'type of the message',
  key: 'changes this record of the state',
  version: 'is of this version, or of a range 118..121',
  severity: 'how bad it is',
  bytes: 'size of its frame, such as bytes>1000',
  time: 'when, such as time>=12.5s',
  seq: 'its number',
  position: 'its place in the capture, from 0',
  body: 'a field of what it says, such as body.reason=root',
  state: 'a value of its replica after it, such as state.item/crown.owner=alice',
  changes: 'changes this key and field, such as changes:item/crown.owner',
  before: 'happened before this record',
  after: 'happened after this record',
  concurrent: 'neither before nor after this record',
};

/** What is written after the name of a field. */
const OPERATORS: Readonly<Record<string, string>> = { bytes: '>', time: '>=', body: '.', state: '.' };

const MESSAGE_TYPES = Object.keys(MESSAGES);

/** Choices for the word that the cursor stands in or after. Never throws, whatever the text. */
export function filterCompletions(text: string, offset: number, info: CaptureInfo): FilterCompletions {
  const cursor = Math.max(0, Math.min(offset, text.length));
  let from = cursor;
  while (from > 0 && !' \t\n|('.includes(text[from - 1]!)) from--;
  const termStart = Math.max(text.lastIndexOf(' ', cursor - 1), text.lastIndexOf('(', cursor - 1)) + 1;
  const isNegated = text[termStart] === '-';
  const name = /^-?([A-Za-z]+):/.exec(text.slice(termStart, cursor))?.[1]?.toLowerCase();
  if (name === undefined) {
    const start = from === termStart && isNegated ? from + 1 : from;
    return {
      from: start,
      to: cursor,
      options: matching(
        FILTER_FIELDS.map((field) => ({ text: `${field}${OPERATORS[field] ?? ':'}`, detail: FIELD_DETAILS[field]! })),
        text.slice(start, cursor),
      ),
    };
  }
  const valueStart = Math.max(from, termStart + name.length + 1 + (isNegated ? 1 : 0));
  return { from: valueStart, to: cursor, options: matching(valuesOf(name, info), text.slice(valueStart, cursor)) };
}

function valuesOf(field: string, info: CaptureInfo): { text: string; detail: string }[] {
  switch (field) {
    case 'kind':
      return [
        ...TRACE_KINDS.filter((kind) => (info.kinds[kind] ?? 0) > 0).map((kind) => ({
          text: kind,
          detail: `${info.kinds[kind]} records`,
        })),
        ...((info.kinds.log ?? 0) > 0 ? [{ text: INPUTS, detail: 'logs that running it again needs' }] : []),
      ];
    case 'replica':
    case 'who':
      return info.replicas.map((replica) => ({ text: replica.id, detail: replica.title ?? replica.role }));
    case 'type':
      return MESSAGE_TYPES.map((type) => ({ text: type, detail: 'message' }));
    case 'severity':
      return SEVERITIES.map((severity) => ({ text: severity, detail: 'severity' }));
    case 'version':
      return [{ text: String(info.versions.last), detail: 'newest version' }];
    default:
      return [];
  }
}

function matching<T extends { readonly text: string }>(options: readonly T[], typed: string): T[] {
  const lower = typed.toLowerCase();
  return options.filter((option) => option.text.toLowerCase().startsWith(lower) && option.text !== typed);
}
