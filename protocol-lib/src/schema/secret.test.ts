import { describe, expect, test } from 'vitest';
import { array, finite, nullable, object, optional, schemaKind, string, uint, variant } from './schema.ts';
import { isSecretSchema, secret, secretPaths } from './secret.ts';

describe('a secret field', () => {
  test('accepts what it did, and is the same on the wire', () => {
    const [plain, marked] = [object({ pin: optional(string(4)) }), object({ pin: optional(secret(string(4))) })];
    expect(schemaKind(marked)).toBe(schemaKind(plain));
    expect(marked.parse({ pin: '1234' }, 'x')).toEqual({ pin: '1234' });
    expect(marked.parse({}, 'x')).toEqual({});
  });

  test('is not quoted by any error', () => {
    const marked = object({ pin: secret(string(4)) });
    const error = (() => {
      try {
        return marked.parse({ pin: 'hunter22' }, 'player');
      } catch (one) {
        return one;
      }
    })();
    expect(error).toMatchObject({ code: 'SCHEMA_MISMATCH', place: { path: 'player/pin' } });
    expect(`${String(error)} ${JSON.stringify(error)} ${String((error as Error).cause)}`).not.toContain('hunter22');
  });

  test('is found wherever it stands: in what is optional, in lists, in objects and in unions', () => {
    const deep = object({ name: string(), codes: array(secret(string())), at: nullable(secret(finite)) });
    const collections = {
      player: object({ pin: secret(uint), profile: optional(deep), more: array(deep), name: string() }),
      event: variant('kind', { paid: object({ card: secret(string()) }), left: object({ why: string() }) }),
      room: object({ title: string() }),
    };
    expect(secretPaths(collections)).toEqual(['event/*.card', 'player/*.at', 'player/*.codes', 'player/*.pin']);
    expect([isSecretSchema(deep.fields[1]![1]), isSecretSchema(string())]).toEqual([true, false]);
  });
});
