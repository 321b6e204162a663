import { SyncError } from '../errors/index.ts';
import type { Schema } from './schema.ts';

/**
 * Marks a field as secret: it accepts what `inner` does and is the same on the wire, but no error quotes its value, and no recording tells it
 * (see {@link secretPaths}).
 */
export function secret<T>(inner: Schema<T>): Schema<T> {
  return {
    ...inner,
    isSecret: true,
    parse(value, path) {
      try {
        return inner.parse(value, path);
      } catch {
        // Neither its message nor, as a cause, the error itself: both may quote what was given.
        throw new SyncError('SCHEMA_MISMATCH', `${path}: a secret value that its schema does not accept`, {
          origin: 'protocol',
          place: { path },
        });
      }
    },
  };
}

/** Whether values of a schema are secret, or parts of them that have no field of their own, such as the items of an array. */
export function isSecretSchema(schema: Schema<unknown>): boolean {
  return schema.isSecret === true || (schema.parts ?? []).some(isSecretSchema);
}

/**
 * The secret fields of records, given the schema of each collection, as the paths that redaction takes: `player/*.pin` for a field of that name at any depth of
 * a record whose key begins so. They go into a trace's header, so that whoever records knows them.
 */
export function secretPaths(collections: Readonly<Record<string, Schema<unknown>>>): string[] {
  const paths = Object.entries(collections).flatMap(([collection, schema]) =>
    [...secretNames(schema)].map((name) => `${collection}/*.${name}`),
  );
  return [...new Set(paths)].sort();
}

function* secretNames(schema: Schema<unknown>): Generator<string> {
  // What may be absent repeats the fields of what it is made of.
  for (const [name, field] of schema.fields ?? []) {
    if (isSecretSchema(field)) yield name;
    else yield* secretNames(field);
  }
  for (const part of schema.parts ?? []) yield* secretNames(part);
}
