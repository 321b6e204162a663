import { RE2JS } from 're2js';
import { toHex } from '../bytes/index.ts';
import type { Value } from '../state/index.ts';
import type { Comparison, Literal, Operand } from './filter-syntax.ts';

/** Whether a value passes a comparison. Numbers compare with numbers, texts with texts; everything else only as equal or not. */
export function compares(value: Value | undefined, op: Comparison, operand: Operand): boolean {
  if (value === undefined) return false;
  if (operand instanceof RE2JS) {
    const isFound = operand.matcher(textOf(value)).find();
    return op === '~' ? isFound : !isFound;
  }
  switch (op) {
    case '=':
      return isEqual(value, operand);
    case '!=':
      return !isEqual(value, operand);
    default:
      return isOrdered(value, op, operand);
  }
}

/** As {@link compares}, for numbers alone. */
export function numberTest(op: Comparison, operand: number): (value: number) => boolean {
  switch (op) {
    case '=':
      return (value) => value === operand;
    case '!=':
      return (value) => value !== operand;
    case '<':
      return (value) => value < operand;
    case '<=':
      return (value) => value <= operand;
    case '>':
      return (value) => value > operand;
    case '>=':
      return (value) => value >= operand;
    default:
      return () => false;
  }
}

/** A list or a map is equal to its JSON, bytes to their hex digits. */
function isEqual(value: Value, operand: string | Literal): boolean {
  const written = typeof operand === 'string' ? operand : operand.text;
  if (typeof value === 'string') return value === written;
  if (value instanceof Uint8Array) return [written, written.replace(/^0x/, '')].includes(textOf(value));
  if (typeof value === 'object' && value !== null) return textOf(value) === written;
  return typeof operand !== 'string' && (Object.is(value, operand.value) || (value === 0 && operand.value === 0));
}

function isOrdered(value: Value, op: Comparison, operand: string | Literal): boolean {
  if (typeof value === 'string') return typeof operand === 'string' && isInOrder(value, op, operand);
  if (typeof value !== 'number' || typeof operand === 'string') return false;
  return typeof operand.value === 'number' && isInOrder(value, op, operand.value);
}

function isInOrder<T extends string | number>(value: T, op: Comparison, operand: T): boolean {
  switch (op) {
    case '<':
      return value < operand;
    case '<=':
      return value <= operand;
    case '>':
      return value > operand;
    case '>=':
      return value >= operand;
    default:
      return false;
  }
}

/** A value as text: bytes as hex, lists and maps as JSON. */
function textOf(value: Value): string {
  if (typeof value === 'string') return value;
  if (value instanceof Uint8Array) return toHex(value);
  return typeof value === 'object' && value !== null
    ? JSON.stringify(value, (_, one: unknown) => (one instanceof Uint8Array ? toHex(one) : one))
    : String(value);
}

/** Every value that a path leads to, `*` standing for each part of a list or map. Own fields only. */
export function valuesAt(value: Value | undefined, path: readonly string[], from = 0): readonly Value[] {
  if (value === undefined) return [];
  const name = path[from];
  if (name === undefined) return [value];
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return [];
  if (name === '*') return Object.values(value as object).flatMap((one: Value) => valuesAt(one, path, from + 1));
  return Object.hasOwn(value, name)
    ? valuesAt((value as { readonly [name: string]: Value })[name], path, from + 1)
    : [];
}
