import type { Value } from '../state/index.ts';
import type { BazaarSize } from './bazaar.ts';
import type { Stream } from './choices.ts';

/** What somebody wants to do. */
export interface Intent {
  readonly command: string;
  readonly args: { readonly [name: string]: Value };
  /** Sent even where the own state does not allow it. */
  readonly isUnchecked: boolean;
}

/** Names and values over which JavaScript programs stumble. */
const FIELD_NAMES = [
  '10',
  '2',
  '1',
  '01',
  '-1',
  '4294967295',
  'constructor',
  'toString',
  'valueOf',
  'text',
  'é',
  '\u{1F600}',
  '',
];
const IDS = ['10', '9', '1', 'constructor', '\u{10FFFF}', 'ß'];

const VALUES: readonly (() => Value)[] = [
  () => Number.NaN,
  () => -0,
  () => 0,
  () => 2 ** 53,
  () => -(2 ** 53) - 2,
  () => 2 ** 53 - 1,
  () => 2 ** 63,
  () => -(2 ** 63),
  () => 1e21,
  () => 5e-324,
  () => Number.NEGATIVE_INFINITY,
  () => 0.1 + 0.2,
  () => -128,
  () => 4_294_967_296,
  () => '',
  () => 'A\u030A',
  () => '\u{1F468}\u200D\u{1F469}',
  () => '\u0000',
  () => null,
  () => true,
  () => new Uint8Array([0, 255, 128]),
  () => [1, [2, [Number.NaN, -0]], {}],
  () => ({ '10': 1, '2': { '1': -0 }, b: null, a: [] }),
];
/** These have no bytes and must be refused without a trace. */
const UNSENDABLE: readonly (() => Value)[] = [
  () => '\uD800',
  () => 'x\uDC00y',
  () => ({ '\uDBFF': 1 }),
  () => JSON.parse('{"__proto__": {"tokens": 1000}}') as Value,
];
const UNSENDABLE_RATE = 0.02;

/** Each as often as it is likely. */
const COMMANDS: readonly string[] = Object.entries({
  take: 5,
  drop: 3,
  give: 3,
  pay: 5,
  move: 2,
  note: 4,
  edit: 3,
  erase: 3,
  wave: 1,
  explode: 1,
  nonsense: 1,
}).flatMap(([command, weight]) => Array.from({ length: weight }, () => command));

/** The next thing that a client wants; `operation` is its number. */
export function drawIntent(stream: Stream, size: BazaarSize, operation: string): Intent {
  const command = stream.pick(COMMANDS);
  const isUnchecked = stream.chance(0.3);
  return { command, args: { op: operation, ...drawArgs(command, stream, size) }, isUnchecked };
}

/** The next thing that the authority does by itself. */
export function drawOwnIntent(stream: Stream, size: BazaarSize, operation: string): Intent {
  const command = stream.pick(['rain', 'seize', 'seize', 'note', 'erase']);
  return { command, args: { op: operation, ...drawArgs(command, stream, size) }, isUnchecked: true };
}

function drawArgs(command: string, stream: Stream, size: BazaarSize): { readonly [name: string]: Value } {
  const id = stream.pick(IDS.slice(0, size.notes));
  switch (command) {
    case 'take':
    case 'drop':
    case 'seize':
      // One more than there are.
      return { thing: stream.int(0, size.things) };
    case 'give':
      return { thing: stream.int(0, size.things - 1), to: stream.pick(size.people) };
    case 'pay':
    case 'rain':
      return { to: stream.pick(size.people), amount: stream.int(0, 8) };
    case 'move':
      return { x: stream.int(-9, 9), y: stream.int(-9, 9) };
    case 'note':
      return { id, fields: drawFields(stream) };
    case 'edit':
      return { id, fields: drawFields(stream), removed: FIELD_NAMES.filter(() => stream.chance(0.15)) };
    case 'erase':
      return { id };
    default:
      return { any: drawValue(stream) };
  }
}

function drawFields(stream: Stream): { readonly [name: string]: Value } {
  const names = FIELD_NAMES.filter(() => stream.chance(0.2));
  return Object.fromEntries(names.map((name) => [name, drawValue(stream)]));
}

export function drawValue(stream: Stream): Value {
  return (stream.chance(UNSENDABLE_RATE) ? stream.pick(UNSENDABLE) : stream.pick(VALUES))();
}
