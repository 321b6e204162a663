import { describe, expect, test } from 'vitest';
import { packMsgpack, unpackMsgpack } from '../bytes/index.ts';
import { isSyncError, type SyncError } from '../errors/index.ts';
import { schemaKind } from '../schema/index.ts';
import { replicaId } from '../state/index.ts';
import { FrameDecoder, FrameEncoder, HEAD_LENGTH, messageLayout } from './codec.ts';
import { compact, head } from './compact.test-helper.ts';
import { COLUMN, WIRE_OP } from './compact.ts';
import { goldenFrames } from './golden.test-helper.ts';
import { MESSAGES, type MessageType } from './message.ts';

/**
 * T11, T12, T14–T16 of the binary codec, generated: every field of every message missing, of the wrong type, out of range and
 * twice. A refusal has code, origin and place, and leaves the decoder as it was.
 */

interface Good {
  readonly type: MessageType;
  /** Frames of names that the tuple refers to. */
  readonly before: readonly Uint8Array[];
  readonly tuple: readonly unknown[];
}

const goods: readonly Good[] = goldenFrames.map(({ body }) => {
  const frames = new FrameEncoder(replicaId('server')).encode(body).map(({ frame }) => frame);
  return { type: body.type, before: frames.slice(0, -1), tuple: unpackMsgpack(frames.at(-1)!) as unknown[] };
});

/** Decodes on a decoder that knows names, and checks that a refusal left it with them. */
function refusal({ before, tuple }: Good, frame: Uint8Array): SyncError | undefined {
  const decoder = new FrameDecoder();
  for (const one of before) decoder.decode(one);
  const names = decoder.names.slice(0);
  try {
    decoder.decode(frame);
    return undefined;
  } catch (error) {
    if (!isSyncError(error)) throw error;
    expect(decoder.names.slice(0)).toEqual(names);
    // What is right is still understood.
    decoder.decode(packMsgpack(tuple));
    return error;
  }
}

function expectPlaced(error: SyncError | undefined, path: string): void {
  expect(error, `${path} was taken`).toBeDefined();
  expect(error!.code).toMatch(/^[A-Z][A-Z_]+$/);
  expect(['protocol', 'state', 'bytes']).toContain(error!.origin);
  const where = error!.place.path ?? (error!.place.offset === undefined ? undefined : 'bytes');
  expect(where === 'bytes' || where?.startsWith(path), `${error!.message} at ${where}, not ${path}`).toBe(true);
}

const everyKind: readonly unknown[] = [true, 7, 1.5, 'text', new Uint8Array(3), [], [7], { a: 1 }];

/** Values of the wrong type or out of range for a field, by the kind of its schema. */
function wrongFor(kind: string): readonly unknown[] {
  const not = (...fitting: readonly unknown[]) => everyKind.filter((value) => !fitting.includes(value));
  const strings = ['text'];
  if (kind === 'uint') return [...not(7), -1, -0.5, 2 ** 53, Number.NaN, Number.POSITIVE_INFINITY];
  if (kind === 'boolean') return [...not(true), 0, 'true'];
  if (kind === 'value') return [];
  if (kind === 'record') return everyKind.slice(0, -1);
  if (kind.startsWith('<a state hash')) return [...everyKind, new Uint8Array(7), new Uint8Array(9), '0123456789abcdef'];
  if (kind.startsWith('<a replica id'))
    return [...not(...strings), '', '../x', 'a b', 'é', 'x'.repeat(65), '__proto__ '];
  const limit = /^string\((\d+)\)$/.exec(kind);
  if (limit) return [...not(...strings), 'x'.repeat(Number(limit[1]) + 1)];
  if (kind.startsWith('"')) return [...everyKind, '', 'CLIENT', 'x'.repeat(100_000)];
  if (kind.startsWith('[')) return [...everyKind.filter((value) => !Array.isArray(value)), [7], [null], [['x']], [{}]];
  if (kind.startsWith('{')) return [...everyKind, {}, { type: 7 }, { version: -1, progress: 0, root: 'x' }];
  throw new Error(`no wrong values are known for ${kind}`);
}

test('there is a good frame of every message', () => {
  expect(goods.map(({ type }) => type).sort()).toEqual(Object.keys(MESSAGES).sort());
  for (const good of goods) expect(refusal(good, packMsgpack(good.tuple)), good.type).toBeUndefined();
});

describe.each(goods.map((good) => ({ type: good.type, good })))('$type', ({ type, good }) => {
  const layout = messageLayout(type).map(({ name, schema, base, isRising }, index) => {
    return { name, schema, mayGoBack: base !== undefined && !isRising, at: HEAD_LENGTH + index };
  });

  test('every field missing', () => {
    for (const { name, schema, at } of layout) {
      for (const frame of [good.tuple.with(at, null), good.tuple.slice(0, at)]) {
        const error = refusal(good, packMsgpack(frame));
        const isTaken = schema.isOptional === true || schemaKind(schema) === 'value';
        if (isTaken && frame.length > at) expect(error, name).toBeUndefined();
        // Whatever is cut away behind it is missing too; the first that had to be there is named.
        else if (!isTaken) expectPlaced(error, `${type}/${name}`);
      }
    }
    for (const length of [0, 1, 2]) expectPlaced(refusal(good, packMsgpack(good.tuple.slice(0, length))), 'frame');
  });

  test('every field of the wrong type and out of range', () => {
    for (const { name, schema, mayGoBack, at } of layout) {
      const kind = schemaKind(schema).replace(/\?$/, '');
      // Such a difference may be below 0, but not so far that it leads there.
      const wrongs = mayGoBack ? wrongFor(kind).map((wrong) => (wrong === -1 ? -100 : wrong)) : wrongFor(kind);
      for (const wrong of wrongs) {
        const error = refusal(good, packMsgpack(good.tuple.with(at, wrong)));
        // A HELLO's range is looked at first of all, and may be one that we do not meet.
        expectPlaced(error, error?.code === 'PROTOCOL_UNSUPPORTED' ? 'HELLO/protocolMin' : `${type}/${name}`);
      }
    }
  });

  test('type, sender and sequence of the wrong type and out of range', () => {
    for (const wrong of [null, ...everyKind.filter((value) => value !== 7), 0, 18, -1, 2 ** 40, '1']) {
      expectPlaced(refusal(good, packMsgpack(good.tuple.with(0, wrong))), 'type');
    }
    for (const wrong of wrongFor('<a replica id')) {
      expectPlaced(refusal(good, packMsgpack(good.tuple.with(1, wrong))), `${type}/sender`);
    }
    for (const wrong of [null, ...wrongFor('uint'), 0]) {
      expectPlaced(refusal(good, packMsgpack(good.tuple.with(2, wrong))), `${type}/sequence`);
    }
  });

  test('everything in it replaced by everything else: a message or a typed error with its place, and nothing else', () => {
    let refused = 0;
    for (const path of pathsIn(good.tuple)) {
      for (const wrong of [null, ...everyKind, 70_000, { constructor: 1 }, [[], []]]) {
        const error = refusal(good, packMsgpack(replaced(good.tuple, path, wrong)));
        if (!error) continue;
        refused++;
        expect(error.place.path ?? error.place.offset, error.message).toBeDefined();
      }
    }
    expect(refused).toBeGreaterThan(10);
  });

  test('cut anywhere, or with a byte too many', () => {
    const frame = packMsgpack(good.tuple);
    for (let length = 0; length < frame.length; length++) {
      expect(refusal(good, frame.subarray(0, length))?.code).toBe('FRAME_NOT_MSGPACK');
    }
    const longer = new Uint8Array(frame.length + 1);
    longer.set(frame);
    const error = refusal(good, longer);
    expect(error).toMatchObject({ code: 'FRAME_NOT_MSGPACK', origin: 'bytes', place: { offset: frame.length } });
  });
});

/** Ways to everything within the fields of a tuple. */
function pathsIn(value: unknown): (string | number)[][] {
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return [];
  return Object.entries(value).flatMap(([name, item]) => {
    const step = Array.isArray(value) ? Number(name) : name;
    return [[step], ...pathsIn(item).map((path) => [step, ...path])];
  });
}

function replaced(value: unknown, [step, ...rest]: readonly (string | number)[], by: unknown): unknown {
  if (step === undefined) return by;
  if (Array.isArray(value)) return value.with(Number(step), replaced(value[Number(step)], rest, by));
  const map = value as Readonly<Record<string, unknown>>;
  return { ...map, [step]: replaced(map[step], rest, by) };
}

test('every field of every message twice', () => {
  const taken: string[] = [];
  for (const good of goods) {
    for (const [index, { name }] of messageLayout(good.type).entries()) {
      const at = HEAD_LENGTH + index;
      const error = refusal(good, packMsgpack(good.tuple.toSpliced(at, 0, good.tuple[at])));
      if (error) expectPlaced(error, `${good.type}/`);
      else if (index < messageLayout(good.type).length - 1) taken.push(`${good.type}/${name}`);
    }
  }
  // In a tuple the place is the name: a second value is the next field's, and behind the last field a later version's.
  // These are followed by a field of the same kind, or of any.
  expect(taken).toEqual(['ERROR/code', 'COMMAND/command', 'PREPARE/changes', 'ACCEPT/root', 'DECIDED/root']);
});

describe('what a message names twice', () => {
  const hash = new Uint8Array(8);
  const none = new Uint8Array(0);
  const full = (records: unknown, vector: unknown = none, rejected: unknown = []) => [
    7,
    'server',
    2,
    1,
    1,
    records,
    vector,
    rejected,
    hash,
  ];
  const { put } = WIRE_OP;
  const one = (field: string) => compact(head(1, put), 1, 0, field, COLUMN.int, 0, 'a/b', 2);
  const cases: readonly (readonly [what: string, tuple: readonly unknown[], path: string])[] = [
    [
      'a record, in one run',
      full(compact(head(2, put), 1, 0, 'x', COLUMN.int, 0, 'a/b', 2, 0, 'a/b', 2)),
      'FULL_SYNC/records/1',
    ],
    ['a record, in two runs', full(compact(one('x'), one('y'))), 'FULL_SYNC/records/1'],
    [
      'a field',
      full(compact(head(1, put), 2, 0, 'x', 0, 'x', COLUMN.int, COLUMN.int, 0, 'a/b', 2, 4)),
      'FULL_SYNC/records/0',
    ],
    ['a writer', full(none, compact(0, 'bob', 1, 0, 'bob', 1)), 'FULL_SYNC/vector/1'],
    [
      'a refusal',
      full(none, none, [
        ['bob', 1, 'x'],
        ['amy', 1, 'x'],
        ['bob', 1, 'y'],
      ]),
      'FULL_SYNC/rejected/2',
    ],
    ['a record, as a change', full(compact(head(1, WIRE_OP.remove), 0, 'a/b')), 'FULL_SYNC/records/0'],
  ];

  test.each(cases.map(([what, tuple, path]) => ({ what, tuple, path })))('$what', ({ tuple, path }) => {
    const good = goods.find(({ type }) => type === 'FULL_SYNC')!;
    expect(refusal(good, packMsgpack(tuple))).toMatchObject({ code: 'SCHEMA_MISMATCH', place: { path } });
  });

  test('a field of a map', () => {
    // COMMAND whose arguments are the map {"a": 1, "a": 2}.
    const frame = Uint8Array.of(0x96, 12, 0xa1, 0x61, 1, 1, 0xa1, 0x67, 0x82, 0xa1, 0x61, 1, 0xa1, 0x61, 2);
    const error = refusal(goods.find(({ type }) => type === 'COMMAND')!, frame);
    expect(error).toMatchObject({ code: 'FRAME_NOT_MSGPACK', origin: 'bytes', place: { offset: 13 } });
  });

  test('more writers and refusals than the schemas allow', () => {
    const many = <T>(item: (index: number) => T) => Array.from({ length: 65_536 }, (_, index) => item(index));
    const good = goods.find(({ type }) => type === 'FULL_SYNC')!;
    const writers = compact(...many((index) => compact(0, `r${index}`, 1)));
    expectPlaced(refusal(good, packMsgpack(full(none, writers))), 'FULL_SYNC/vector');
    const refusals = many((index) => ['r', index, 'x']);
    expectPlaced(refusal(good, packMsgpack(full(none, none, refusals))), 'FULL_SYNC/rejected');
  });
});

describe('the bytes of compact fields', () => {
  const fields = goods.flatMap((good) =>
    good.tuple.flatMap((field, at) => (field instanceof Uint8Array && field.length !== 8 ? [{ good, field, at }] : [])),
  );

  test('each replaced, left out, doubled, or cut: a message or a typed error with its place', () => {
    let [taken, refused] = [0, 0];
    for (const { good, field, at } of fields) {
      const others = field.length > 64 ? [0, 1, 0x7f, 0x80, 0xff] : Array.from({ length: 256 }, (_, byte) => byte);
      const wrongs = [...field.keys()].flatMap((index) => [
        ...others.map((byte) => field.with(index, byte)),
        field.slice(0, index),
        Uint8Array.from([...field.slice(0, index), ...field.slice(index + 1)]),
        Uint8Array.from([...field.slice(0, index), ...field.slice(index)]),
      ]);
      for (const wrong of wrongs) {
        const error = refusal(good, packMsgpack(good.tuple.with(at, wrong)));
        if (error === undefined) taken++;
        else expectPlaced(error, good.type);
        if (error !== undefined) refused++;
      }
    }
    expect(taken).toBeGreaterThan(100);
    expect(refused).toBeGreaterThan(1_000);
  });

  test('names that were never announced, or are announced under other numbers: refused, or another name, and no name is learnt', () => {
    const good = goods.find(({ type }) => type === 'DELTA_SYNC')!;
    const stranger = new FrameDecoder();
    expect(() => stranger.decode(packMsgpack(good.tuple))).toThrow('never announced');
    expect(stranger.names.slice(0)).toEqual([]);
    stranger.decode(packMsgpack([6, 'server', 1, 0, ['only']]));
    expect(() => stranger.decode(packMsgpack(good.tuple))).toThrow('never announced');
    expect(stranger.names.slice(0)).toEqual(['only']);
  });
});
