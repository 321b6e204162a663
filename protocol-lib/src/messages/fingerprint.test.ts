import { expect, test } from 'vitest';
import * as s from '../schema/index.ts';
import { recordSchema, valueSchema } from '../state/index.ts';
import { schemaText } from './fingerprint.ts';
import { MESSAGES } from './message.ts';

test('a field of another name, place, kind or limit is another schema', () => {
  const field = { version: s.uint, reason: s.string(500) };
  const variants: readonly s.Schema<unknown>[] = [
    s.object(field),
    s.object({ reason: field.reason, version: field.version }),
    s.object({ version: field.version, why: field.reason }),
    s.object({ ...field, reason: s.string(501) }),
    s.object({ ...field, reason: s.optional(field.reason) }),
    s.object({ ...field, reason: s.nullable(field.reason) }),
    s.object({ ...field, reason: s.bytes(500) }),
    s.object({ ...field, version: s.finite }),
    s.object({ ...field, version: s.boolean }),
    s.object({ ...field, version: s.array(s.uint, 3) }),
    s.object({ ...field, version: s.array(s.uint, 4) }),
    s.object({ ...field, version: s.literal('a', 'b') }),
    s.object({ ...field, version: s.literal('a', 'c') }),
    s.object({ ...field, version: s.branded((text) => text, 'a name') }),
    s.object({ ...field, version: recordSchema }),
    s.object({ ...field, version: valueSchema }),
    s.object({ ...field, version: s.object({ more: s.uint }) }),
    s.object({ ...field, version: s.variant('op', { put: s.object({ key: s.uint }) }) }),
    s.object({ ...field, version: s.variant('op', { put: s.object({ key: s.finite }) }) }),
    s.object({ ...field, later: s.uint }),
  ];
  expect(new Set(variants.map(s.schemaKind)).size).toBe(variants.length);
});

test('nothing in a message is left out of the pin', () => {
  const text = schemaText();
  expect(text).not.toContain('unknown');
  for (const [type, { id, schema }] of Object.entries(MESSAGES)) {
    const line = text.split('\n').find((one) => one.startsWith(`${id} ${type} {`));
    for (const [name] of schema.fields) expect(line).toContain(`${name}: `);
  }
});
