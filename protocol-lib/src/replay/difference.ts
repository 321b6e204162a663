import type { TraceRecord } from '../trace/index.ts';

/** Where two values first differ: the path, and what each has there. Absent is `undefined`. */
export interface ValueDifference {
  readonly path: string;
  readonly left: unknown;
  readonly right: unknown;
}

/** The first difference of two plain values, depth first; undefined where there is none. Numbers follow `Object.is`. */
export function firstDifferenceOf(left: unknown, right: unknown, path = ''): ValueDifference | undefined {
  if (Object.is(left, right)) return undefined;
  if (!isObject(left) || !isObject(right)) return { path, left, right };
  if (left instanceof Uint8Array || right instanceof Uint8Array) {
    const isSame = left instanceof Uint8Array && right instanceof Uint8Array && sameBytes(left, right);
    return isSame ? undefined : { path, left, right };
  }
  if (Array.isArray(left) !== Array.isArray(right)) return { path, left, right };
  for (const name of new Set([...Object.keys(left), ...Object.keys(right)])) {
    const one = (left as Record<string, unknown>)[name];
    const other = (right as Record<string, unknown>)[name];
    const found = firstDifferenceOf(one, other, path === '' ? name : `${path}.${name}`);
    if (found) return found;
  }
  return undefined;
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}

export function sameBytes(left: Uint8Array, right: Uint8Array): boolean {
  return left.length === right.length && left.every((byte, at) => byte === right[at]);
}

/** What two records differ in. `state`: values or their hash; `order`: what happened, to whom, because of what; `bytes`: only the frame. */
export type DifferenceKind = 'state' | 'order' | 'bytes';

/** What of a record a re-execution must come to. */
export type Told = Pick<TraceRecord, 'replica' | 'cause' | 'body' | 'wire'>;

export interface RecordDifference extends ValueDifference {
  readonly differs: DifferenceKind;
}

const STATE_FIELDS = ['changes', 'root', 'own', 'records', 'pending', 'differences', 'expected', 'got', 'reference'];

/** How a record that was made again differs from the recorded one. */
export function recordDifference(recorded: Told, made: Told): RecordDifference | undefined {
  if (recorded.replica !== made.replica) {
    return { differs: 'order', path: 'replica', left: recorded.replica, right: made.replica };
  }
  if (recorded.body.kind !== made.body.kind) {
    return { differs: 'order', path: 'kind', left: recorded.body.kind, right: made.body.kind };
  }
  const body = firstDifferenceOf(recorded.body, made.body);
  if (body) return { ...body, differs: fieldKind(body.path) };
  const cause = firstDifferenceOf(recorded.cause, made.cause, 'cause');
  if (cause) return { ...cause, differs: 'order' };
  const wire = firstDifferenceOf(recorded.wire, made.wire, 'wire');
  return wire && { ...wire, differs: 'bytes' };
}

function fieldKind(path: string): DifferenceKind {
  return STATE_FIELDS.includes(path.split('.')[0] ?? '') ? 'state' : 'order';
}
