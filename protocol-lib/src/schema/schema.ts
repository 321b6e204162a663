import { SyncError } from '../errors/index.ts';

/**
 * Schemas from which both the static type and the validator come. A schema also knows its fields in
 * order, so the binary codec can lay a message out as a tuple without a second description of it.
 * Unknown fields are tolerated and dropped; a missing or wrong one is `SCHEMA_MISMATCH` with its path.
 */
export interface Schema<T> {
  /** Returns the validated value, or throws a {@link SyncError} `SCHEMA_MISMATCH` that names `path`. */
  parse(value: unknown, path: string): T;
  /** Set on object schemas: the fields in declaration order, which is wire order. */
  readonly fields?: ReadonlyArray<readonly [name: string, schema: Schema<unknown>]>;
  /** True where the field may be absent. */
  readonly isOptional?: boolean;
  /** What it accepts, in a short notation: two schemas that accept the same have the same. A wire schema is pinned by it. */
  readonly kind?: string;
  /** True where the value is not to be told: see `secret`. */
  readonly isSecret?: boolean;
  /** What it is made of, but for {@link fields}: the item of an array, what may be absent or null, the variants of a union. */
  readonly parts?: readonly Schema<unknown>[];
}

/** The {@link Schema.kind} of any schema, of objects their fields in order. */
export function schemaKind(schema: Schema<unknown>): string {
  const optional = schema.isOptional ? '?' : '';
  return `${schema.kind ?? 'unknown'}${optional}`;
}

export type Infer<S> = S extends Schema<infer T> ? T : never;

function mismatch(expected: string, value: unknown, path: string): never {
  throw new SyncError('SCHEMA_MISMATCH', `${path}: expected ${expected}, got ${describe(value)}`, {
    origin: 'protocol',
    place: { path },
  });
}

function describe(value: unknown): string {
  if (value === undefined) return 'nothing';
  if (value === null) return 'null';
  if (Array.isArray(value)) return `an array of ${value.length}`;
  if (value instanceof Uint8Array) return `${value.length} bytes`;
  if (typeof value === 'string') return JSON.stringify(value.length > 40 ? `${value.slice(0, 40)}…` : value);
  if (typeof value === 'object') return 'an object';
  return `${typeof value} ${String(value)}`;
}

/** A string of at most `maxLength` UTF-16 units. */
export function string(maxLength = 65_536): Schema<string> {
  return {
    kind: `string(${maxLength})`,
    parse(value, path) {
      if (typeof value !== 'string') mismatch('a string', value, path);
      if (value.length > maxLength) mismatch(`a string of at most ${maxLength}`, value, path);
      return value;
    },
  };
}

/** A string that `make` accepts and brands; `make` throws on anything else. */
export function branded<T extends string>(make: (text: string) => T, what: string): Schema<T> {
  return {
    kind: `<${what}>`,
    parse(value, path) {
      if (typeof value !== 'string') mismatch(what, value, path);
      try {
        return make(value);
      } catch {
        return mismatch(what, value, path);
      }
    },
  };
}

/** An integer from 0 to 2^53 - 1. */
export const uint: Schema<number> = {
  kind: 'uint',
  parse(value, path) {
    if (!Number.isSafeInteger(value) || (value as number) < 0) mismatch('a non-negative integer', value, path);
    return value as number;
  },
};

/** Any finite number. */
export const finite: Schema<number> = {
  kind: 'finite',
  parse(value, path) {
    if (typeof value !== 'number' || !Number.isFinite(value)) mismatch('a finite number', value, path);
    return value;
  },
};

export const boolean: Schema<boolean> = {
  kind: 'boolean',
  parse(value, path) {
    if (typeof value !== 'boolean') mismatch('a boolean', value, path);
    return value;
  },
};

export function bytes(maxLength = 64 * 1024 * 1024): Schema<Uint8Array> {
  return {
    kind: `bytes(${maxLength})`,
    parse(value, path) {
      if (!(value instanceof Uint8Array)) mismatch('bytes', value, path);
      if (value.length > maxLength) mismatch(`at most ${maxLength} bytes`, value, path);
      return value;
    },
  };
}

export function literal<const T extends string | number | boolean | null>(...allowed: readonly T[]): Schema<T> {
  const set = new Set<unknown>(allowed);
  return {
    kind: allowed.map((one) => JSON.stringify(one)).join('|'),
    parse(value, path) {
      if (!set.has(value)) mismatch(allowed.map((one) => JSON.stringify(one)).join(' or '), value, path);
      return value as T;
    },
  };
}

export function array<T>(item: Schema<T>, maxLength = 1_000_000): Schema<T[]> {
  return {
    kind: `[${schemaKind(item)}](${maxLength})`,
    parts: [item],
    parse(value, path) {
      if (!Array.isArray(value)) mismatch('an array', value, path);
      if (value.length > maxLength) mismatch(`an array of at most ${maxLength}`, value, path);
      return value.map((one, index) => item.parse(one, `${path}/${index}`));
    },
  };
}

export function optional<T>(inner: Schema<T>): Schema<T | undefined> & { readonly isOptional: true } {
  return {
    isOptional: true,
    parts: [inner],
    ...(inner.kind === undefined ? {} : { kind: inner.kind }),
    parse: (value, path) => (value === undefined ? undefined : inner.parse(value, path)),
    ...(inner.fields ? { fields: inner.fields } : {}),
  };
}

export function nullable<T>(inner: Schema<T>): Schema<T | null> {
  return {
    kind: `${schemaKind(inner)}|null`,
    parts: [inner],
    parse: (value, path) => (value === null ? null : inner.parse(value, path)),
  };
}

type Shape = Readonly<Record<string, Schema<unknown>>>;
type OptionalKeys<S extends Shape> = { [K in keyof S]: S[K] extends { isOptional: true } ? K : never }[keyof S];
type Flatten<T> = { readonly [K in keyof T]: T[K] };
export type InferShape<S extends Shape> = Flatten<
  { [K in Exclude<keyof S, OptionalKeys<S>>]: Infer<S[K]> } & {
    [K in OptionalKeys<S>]?: Exclude<Infer<S[K]>, undefined>;
  }
>;

export interface ObjectSchema<T> extends Schema<T> {
  readonly fields: ReadonlyArray<readonly [name: string, schema: Schema<unknown>]>;
}

/** A plain object with own fields as given. */
export function object<const S extends Shape>(shape: S): ObjectSchema<InferShape<S>> {
  const fields = Object.entries(shape);
  return {
    fields,
    kind: `{${fields.map(([name, schema]) => `${name}: ${schemaKind(schema)}`).join(', ')}}`,
    parse(value, path) {
      if (typeof value !== 'object' || value === null || Array.isArray(value)) mismatch('an object', value, path);
      const result: Record<string, unknown> = {};
      for (const [name, schema] of fields) {
        const field = Object.hasOwn(value, name) ? (value as Record<string, unknown>)[name] : undefined;
        const parsed = schema.parse(field, `${path}/${name}`);
        if (parsed !== undefined) result[name] = parsed;
      }
      return result as InferShape<S>;
    },
  };
}

/** A union of objects told apart by the literal in `tag`. `variants` maps the tag's value to the rest of the object. */
export function variant<const Tag extends string, const V extends Readonly<Record<string, ObjectSchema<unknown>>>>(
  tag: Tag,
  variants: V,
): Schema<{ [K in keyof V]: Flatten<{ [T in Tag]: K } & Infer<V[K]>> }[keyof V]> {
  const table = new Map(Object.entries(variants));
  return {
    kind: `${tag}: ${Array.from(table, ([name, schema]) => `${name} ${schemaKind(schema)}`).join(' | ')}`,
    parts: Object.values(variants),
    parse(value, path) {
      if (typeof value !== 'object' || value === null || Array.isArray(value)) mismatch('an object', value, path);
      const name = Object.hasOwn(value, tag) ? (value as Record<string, unknown>)[tag] : undefined;
      const schema = typeof name === 'string' ? table.get(name) : undefined;
      if (!schema) mismatch(`one of ${[...table.keys()].join(', ')}`, name, `${path}/${tag}`);
      // biome-ignore lint/suspicious/noExplicitAny: the tag chose the variant, which TypeScript cannot follow
      return { [tag]: name, ...(schema.parse(value, path) as object) } as any;
    },
  };
}
