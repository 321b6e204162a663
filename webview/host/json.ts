import { pack } from '../src/rpc/json-safe.ts';
import { escapeJson } from './print.ts';

/** One document of the command line's `--json`. A field's meaning never changes within a schema's number. */
export type SchemaName =
  | 'sessions'
  | 'info'
  | 'state'
  | 'diff'
  | 'verify'
  | 'diagnose'
  | 'record'
  | 'inspect'
  | 'replay'
  | 'play'
  | 'whatif'
  | 'blame'
  | 'compare'
  | 'converge'
  | 'shrink'
  | 'error'
  | 'import'
  | 'export'
  | 'filter'
  | 'recover'
  | 'doctor'
  | 'merge'
  | 'redact';

/**
 * Prints a document on standard output. What JSON cannot say is marked: bytes as `{"$bytes":"hex"}`, and NaN,
 * infinities and -0 as `{"$number":"NaN"}`.
 */
export function printDocument(name: SchemaName, document: Readonly<Record<string, unknown>>): void {
  printJson({ schema: `syncscope/${name}@1`, ...document });
}

function printJson(document: unknown): void {
  const text = JSON.stringify(
    pack(document),
    (_, value) => (value instanceof Uint8Array ? { $bytes: Buffer.from(value).toString('hex') } : value),
    2,
  );
  process.stdout.write(`${escapeJson(text)}\n`);
}
