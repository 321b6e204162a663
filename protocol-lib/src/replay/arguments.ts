import { fromHex, toHex } from '../bytes/index.ts';
import { SyncError } from '../errors/index.ts';
import type { Value } from '../state/index.ts';

/**
 * The arguments of a command as text. An authority's own may be what no frame can carry (lone surrogates, `__proto__`), and must
 * come back as they were: JSON, with what it cannot say marked as `{"$": …}`.
 */
export function argumentText(args: Value): string {
  return JSON.stringify(isPlain(args) ? args : marked(args));
}

/** Whether JSON says all of it. */
function isPlain(value: Value): boolean {
  if (typeof value === 'number') return Number.isFinite(value) && !Object.is(value, -0);
  if (typeof value !== 'object' || value === null) return true;
  if (value instanceof Uint8Array) return false;
  if (Array.isArray(value)) return (value as readonly Value[]).every(isPlain);
  const fields = value as Readonly<Record<string, Value>>;
  for (const name in fields) if (name === '$' || !isPlain(fields[name]!)) return false;
  return true;
}

/** @throws SyncError `REPLAY_INPUTS_DAMAGED` */
export function parseArguments(text: string): Value {
  try {
    return unmarked(JSON.parse(text));
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new SyncError('REPLAY_INPUTS_DAMAGED', `arguments that cannot be read: ${why}`, { origin: 'capture' });
  }
}

function marked(value: Value): unknown {
  if (typeof value === 'number') {
    return Number.isFinite(value) && !Object.is(value, -0)
      ? value
      : { $: 'number', of: Object.is(value, -0) ? '-0' : `${value}` };
  }
  if (typeof value !== 'object' || value === null) return value;
  if (value instanceof Uint8Array) return { $: 'bytes', of: toHex(value) };
  if (Array.isArray(value)) return (value as readonly Value[]).map(marked);
  const entries = Object.entries(value).map(([name, inner]) => [name, marked(inner)] as const);
  const fields = withFields(entries);
  return Object.hasOwn(value, '$') ? { $: 'fields', of: fields } : fields;
}

function unmarked(value: unknown): Value {
  if (typeof value !== 'object' || value === null) return value as Value;
  if (Array.isArray(value)) return value.map(unmarked);
  const { $: mark, of } = value as { $?: unknown; of?: unknown };
  if (mark === 'number') return Number(of);
  if (mark === 'bytes') return fromHex(String(of));
  const fields = mark === 'fields' ? (of as object) : value;
  return withFields(Object.entries(fields).map(([name, inner]) => [name, unmarked(inner)] as const));
}

/** An object with these fields as its own, whatever they are called. */
function withFields<T>(entries: readonly (readonly [string, T])[]): Record<string, T> {
  return Object.fromEntries(entries);
}
