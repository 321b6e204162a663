import { SyncError } from '@syncscope/protocol/errors';
import { array, type Schema } from '@syncscope/protocol/schema';

function refuse(expected: string, path: string): never {
  throw new SyncError('SCHEMA_MISMATCH', `${path}: expected ${expected}`, { origin: 'query', place: { path } });
}

/** Any safe integer, negative ones too: a position may be -1. */
export const integer: Schema<number> = {
  parse(value, path) {
    if (!Number.isSafeInteger(value)) refuse('an integer', path);
    return value as number;
  },
};

export const uint32Array: Schema<Uint32Array> = {
  parse: (value, path) => (value instanceof Uint32Array ? value : refuse('a Uint32Array', path)),
};

export const uint8Array: Schema<Uint8Array> = {
  parse: (value, path) => (value instanceof Uint8Array ? value : refuse('a Uint8Array', path)),
};

export const nothing: Schema<undefined> = {
  parse: (value, path) => (value === undefined || value === null ? undefined : refuse('nothing', path)),
};

/** `undefined`, which JSON between extension host and webview turns into null, or what `inner` takes. */
export function maybe<T>(inner: Schema<T>): Schema<T | undefined> {
  return { parse: (value, path) => (value === undefined || value === null ? undefined : inner.parse(value, path)) };
}

export function either<A, B>(first: Schema<A>, second: Schema<B>): Schema<A | B> {
  return {
    parse(value, path) {
      try {
        return first.parse(value, path);
      } catch {
        return second.parse(value, path);
      }
    },
  };
}

/** Schemas that contain themselves, at most `maxDepth` deep. */
export function recursive<T>(build: (self: Schema<T>) => Schema<T>, maxDepth: number): Schema<T> {
  let depth = 0;
  const self: Schema<T> = {
    parse(value, path) {
      if (depth >= maxDepth) refuse(`at most ${maxDepth} levels`, path);
      depth++;
      try {
        return inner.parse(value, path);
      } finally {
        depth--;
      }
    },
  };
  const inner = build(self);
  return self;
}

/** An array of exactly two of one kind. */
export function pair<T>(item: Schema<T>): Schema<readonly [T, T]> {
  const list = array(item, 2);
  return {
    parse(value, path) {
      const [first, second, ...rest] = list.parse(value, path);
      if (first === undefined || second === undefined || rest.length > 0) refuse('a pair', path);
      return [first, second];
    },
  };
}

/** An object whose own names are all among `names`, each with a value of `item`. */
export function named<K extends string, T>(
  names: readonly K[],
  item: Schema<T>,
): Schema<Readonly<Partial<Record<K, T>>>> {
  const known = new Set<string>(names);
  return {
    parse(value, path) {
      if (typeof value !== 'object' || value === null) refuse('an object', path);
      const entries = Object.entries(value)
        .filter(([name]) => known.has(name))
        .map(([name, one]) => [name, item.parse(one, `${path}/${name}`)]);
      return Object.fromEntries(entries) as Readonly<Partial<Record<K, T>>>;
    },
  };
}

/** An array with one schema a place; places at the end that take `undefined` may be missing. */
export function tuple<const S extends readonly Schema<unknown>[]>(
  ...items: S
): Schema<{ -readonly [I in keyof S]: S[I] extends Schema<infer T> ? T : never }> {
  return {
    parse(value, path) {
      if (!Array.isArray(value) || value.length > items.length) refuse(`at most ${items.length} arguments`, path);
      return items.map((item, index) => item.parse(value[index], `${path}/${index}`)) as {
        -readonly [I in keyof S]: S[I] extends Schema<infer T> ? T : never;
      };
    },
  };
}
