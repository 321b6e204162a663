import { isSyncError } from '@syncscope/protocol/errors';
import {
  FrameDecoder,
  FrameEncoder,
  formatMessage,
  type Message,
  type MessageBody,
  parseMessage,
} from '@syncscope/protocol/messages';
import { replicaId } from '@syncscope/protocol/state';
import { describe, expect, test } from 'vitest';
import { cases, SENDER } from './cases.ts';

/** A counter that is none, in every vector of every message, in both forms of the protocol. */
const WRONG = [-1, 0.5, 2 ** 53];
/** Stands for the counter in a right text. */
const MARK = 777_777_777;
const stranger = replicaId('bob');

function isEntry(value: unknown): value is { readonly replica: string; readonly counter: number } {
  return (
    typeof value === 'object' &&
    value !== null &&
    'replica' in value &&
    'counter' in value &&
    Object.keys(value).length === 2
  );
}

/** The body once for each vector that is in it, with `counter` as its only entry. */
function spoiled(body: MessageBody, counter: number): { readonly path: string; readonly body: MessageBody }[] {
  const found: { path: string; body: MessageBody }[] = [];
  const visit = (value: unknown, path: readonly string[]): void => {
    if (Array.isArray(value) && value.length > 0 && value.every(isEntry)) {
      found.push({
        path: path.join('.'),
        body: withValue(body, path, [{ replica: stranger, counter }]) as MessageBody,
      });
    } else if (typeof value === 'object' && value !== null && !(value instanceof Uint8Array)) {
      for (const [name, inner] of Object.entries(value)) visit(inner, [...path, name]);
    }
  };
  visit(body, []);
  return found;
}

function withValue(value: unknown, [name, ...rest]: readonly string[], put: unknown): unknown {
  if (name === undefined) return put;
  if (Array.isArray(value)) return value.map((one, at) => (String(at) === name ? withValue(one, rest, put) : one));
  const fields = value as Readonly<Record<string, unknown>>;
  return { ...fields, [name]: withValue(fields[name], rest, put) };
}

const found = cases.flatMap(({ name, body }) => spoiled(body, 1).map(({ path }) => ({ name, body, path })));

/** What a reader says, or the error that it throws. */
function outcome(read: () => unknown): unknown {
  try {
    return read();
  } catch (error) {
    return error;
  }
}

function isCounter(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function countersIn(value: unknown): unknown[] {
  if (isEntry(value)) return [value.counter];
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(countersIn) : [];
}

describe('a vector with a negative or fractional counter is a typed error', () => {
  test('in the messages that carry one', () => {
    const types = new Set(found.map(({ body }) => body.type));
    for (const type of ['DELTA_SYNC', 'FULL_SYNC', 'PRESENCE', 'RECONCILE', 'PEER_STATUS', 'PEER_CHANGES'] as const) {
      expect(types).toContain(type);
    }
  });

  test.each(found)('$name: $path', ({ body, path }) => {
    const marked = spoiled(body, MARK).find((one) => one.path === path)!.body;
    const right = formatMessage({ ...marked, sender: SENDER, sequence: 1 } as Message);
    for (const counter of WRONG) {
      const wrong = spoiled(body, counter).find((one) => one.path === path)!.body;
      const decoder = new FrameDecoder();
      const read = outcome(() => new FrameEncoder(SENDER).encode(wrong).map(({ frame }) => decoder.decode(frame)));
      // The binary form has no way to write a wrong counter: whatever its bytes are, they are refused or read as a right one.
      expect(isSyncError(read) || countersIn(read).every(isCounter), String(read)).toBe(true);
      const text = right.replace(String(MARK), String(counter));
      expect(text).not.toBe(right);
      const error = outcome(() => parseMessage(text));
      expect(isSyncError(error), text).toBe(true);
    }
  });
});
