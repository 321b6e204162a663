import type { Change, Value } from '../state/index.ts';
import type { TraceRecord } from '../trace/index.ts';

const CHANGES_MAX = 8;
/** Of what is neither text nor bytes, and of the name of a field that goes, about. */
const NUMBER_BYTES = 4;
const NAME_BYTES = 16;

/** About how many bytes a record takes when it is encoded; undefined where that is more than `max`, or cannot be told at a glance. */
export function bytesAtAGlance(max: number, { body, wire, source, cause }: TraceRecord): number | undefined {
  if (source !== undefined) return undefined;
  // A delta may name a thousand.
  const frame = (wire?.length ?? 0) + (cause.length > 1 ? cause.length * NUMBER_BYTES : 0);
  switch (body.kind) {
    case 'send':
    case 'receive':
    case 'hash':
    case 'delta':
      return frame <= max ? frame : undefined;
    case 'commit':
      return frame === 0 ? bytesUpTo(max, body.changes) : undefined;
    default:
      return undefined;
  }
}

/** About how many bytes changes take when they are encoded; undefined where that is more than `max`, as is found out without looking at all of it. */
function bytesUpTo(max: number, changes: readonly Change[]): number | undefined {
  if (changes.length > CHANGES_MAX) return undefined;
  let room = max;
  for (const change of changes) {
    room -= change.key.length;
    if (change.op === 'put') room = roomBehind(change.record, room);
    else if (change.op === 'patch') room = roomBehind(change.fields, room - change.removed.length * NAME_BYTES);
    if (room < 0) return undefined;
  }
  return max - room;
}

/** What is left of so many bytes behind a value; below 0, it is not looked at any further. */
function roomBehind(value: Value, room: number): number {
  if (typeof value === 'string') return room - value.length;
  if (typeof value !== 'object' || value === null) return room - NUMBER_BYTES;
  if (value instanceof Uint8Array) return room - value.length;
  let left = room - 1;
  if (Array.isArray(value)) {
    for (let at = 0; at < value.length && left >= 0; at++) left = roomBehind(value[at]!, left);
    return left;
  }
  const fields = value as Readonly<Record<string, Value>>;
  for (const name in fields) {
    if (left < 0) break;
    left = roomBehind(fields[name]!, left - name.length);
  }
  return left;
}
