import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { packMsgpack, toHex } from '../bytes/index.ts';
import { toBase64 } from '../capture/exchange/base64.ts';
import { inputTexts } from '../capture/inputs-text.ts';
import { replicaId, type Value } from '../state/index.ts';
import { closedTap } from '../trace/index.ts';
import { BatchReader } from './batches.ts';
import { BatchBuilder, unpackBatch } from './compact-inputs.ts';
import { appDecisions } from './driven.ts';
import { type Input, inputVariants } from './inputs.ts';
import { Machines } from './machines.ts';
import { type Placed, stepsOf } from './steps.ts';

const head = { replica: fc.constantFrom('server', 'bot-1', 'bot-2').map(replicaId), now: fc.maxSafeNat() };
const link = fc.nat(100);
const inputs: fc.Arbitrary<Input> = fc.oneof(
  fc.record({ op: fc.constant('tick' as const), ...head }),
  fc.record({ op: fc.constant('arrival' as const), ...head, link }),
  fc.record({ op: fc.constant('queues' as const), ...head, links: fc.array(link), bytes: fc.array(fc.nat()) }),
  fc.record({
    op: fc.constant('predict' as const),
    ...head,
    command: fc.string(),
    args: fc.json(),
    unchecked: fc.boolean(),
  }),
  fc.record(
    { op: fc.constant('stop' as const), ...head, reason: fc.string(), reconnect: fc.nat() },
    { requiredKeys: ['op', 'replica', 'now', 'reason'] },
  ),
);
const placed = fc.record({ input: inputs, free: fc.nat(1_000), count: fc.nat(1_000) });

type Placement = { readonly input: Input; readonly free: number; readonly count: number };

/** A batch as it is laid out, from a list of all its values. */
function laidOut(entries: readonly Placement[], rest: number): Uint8Array {
  const ops = [...new Set(entries.map(({ input }) => input.op))];
  const replicas = [...new Set(entries.map(({ input }) => input.replica))];
  const values = entries.flatMap(({ input, free, count }, at): Value[] => {
    const later = input.now - (entries[at - 1] ?? entries[0]!).input.now;
    const fields = inputVariants[input.op].fields.filter(([name]) => name !== 'replica' && name !== 'now');
    const told = fields.map(([name]) => (input as unknown as Readonly<Record<string, Value>>)[name] ?? null);
    return [ops.indexOf(input.op), replicas.indexOf(input.replica), later, free, count, ...told];
  });
  return packMsgpack([1, ops, replicas, entries[0]!.input.now, rest, values]);
}

describe('a compact batch', () => {
  test('is laid out as the list of its values, written as any', () => {
    fc.assert(
      fc.property(fc.array(placed, { minLength: 1, maxLength: 60 }), fc.nat(), (entries, rest) => {
        const builder = new BatchBuilder();
        for (const { input, free, count } of entries) builder.add(input, free, count);
        expect(builder.length).toBe(entries.length);
        expect(builder.take(rest)).toEqual(laidOut(entries, rest));
        expect(builder.length).toBe(0);
      }),
    );
  });

  test('comes out as it went in, through the texts of its records, after another one', () => {
    fc.assert(
      fc.property(fc.array(placed, { minLength: 1, maxLength: 60 }), fc.nat(), (entries, rest) => {
        const builder = new BatchBuilder();
        builder.add({ op: 'follow', replica: replicaId('earlier'), now: 1 }, 0, 0);
        expect(unpackBatch(toBase64(builder.take(0))).entries).toHaveLength(1);
        for (const { input, free, count } of entries) builder.add(input, free, count);
        const texts = inputTexts(builder.take(rest));
        const reader = new BatchReader();
        const read = texts.map((text, at) => {
          const body = { kind: 'log', level: 'debug', text } as const;
          return reader.take({ seq: at + 1, time: 0, replica: replicaId('server'), cause: [], body });
        });
        expect(read.at(-1)).toEqual({ entries, rest });
        expect(read.slice(0, -1).every((one) => one === 'part')).toBe(true);
      }),
    );
  });

  test('that is whole and of no known inputs is never taken for the end of one', () => {
    const replica = replicaId('server');
    const log = (text: string, position: number): Placed => {
      const body = { kind: 'log', level: 'debug', text } as const;
      return { position, record: { seq: position + 1, time: 0, replica, cause: [], body } };
    };
    const stands = packMsgpack([1, ['authorityStands'], ['server'], 5, 0, [0, 0, 0, 0, 0, 'nothing']]);
    const builder = new BatchBuilder();
    builder.add({ op: 'tick', replica, now: 5 }, 0, 0);
    const tick = builder.take(0);
    const first = inputTexts(stands).map(log);
    const later = inputTexts(tick).map((text) => log(text, 1));
    expect(() => stepsOf([...first, ...later])).toThrow(expect.objectContaining({ code: 'REPLAY_INPUTS_DAMAGED' }));
    // Of a batch without its beginning, nothing can be said.
    const cut = inputTexts(tick.slice(6)).map(log);
    expect(() => stepsOf([...cut, ...later])).toThrow(expect.objectContaining({ code: 'REPLAY_INPUTS_MISSING' }));
  });

  test('of an authority with settings that none takes ends with a code', () => {
    const definition = { name: 'none', initialRecords: () => [], commands: {}, reduce: () => [] };
    const machines = new Machines(closedTap, appDecisions(definition, []));
    const replica = replicaId('server');
    const begin = {
      op: 'authority',
      replica,
      now: 1,
      session: 's',
      incarnation: 1,
      groups: [],
      hasViews: false,
      log: null,
    };
    expect(() => machines.apply({ ...begin, op: 'authority', settings: { maxQueued: 0 } }, [])).toThrow(
      expect.objectContaining({ code: 'REPLAY_INPUT_UNFIT' }),
    );
  });

  test('that is damaged is an error with a code', () => {
    const builder = new BatchBuilder();
    builder.add({ op: 'tick', replica: replicaId('server'), now: 5 }, 0, 1);
    const [text = ''] = inputTexts(builder.take(0));
    fc.assert(
      fc.property(fc.nat(text.length - 9), fc.constantFrom(...'AQgw+/z=~'), (at, letter) => {
        const wrong = `${text.slice(0, 8 + at)}${letter}${text.slice(9 + at)}`;
        const body = { kind: 'log', level: 'debug', text: wrong } as const;
        const record = { seq: 1, time: 0, replica: replicaId('server'), cause: [], body };
        try {
          expect(new BatchReader().take(record)).toHaveProperty('entries');
        } catch (error) {
          expect(error).toMatchObject({ code: 'REPLAY_INPUTS_DAMAGED' });
        }
      }),
    );
  });

  test('of an earlier recording, in hex digits, is read as well', () => {
    fc.assert(
      fc.property(fc.array(inputs, { maxLength: 5 }), fc.nat(9), fc.nat(30), (some, count, cut) => {
        const digits = toHex(packMsgpack({ count, inputs: some } as unknown as Value));
        const texts = [`inputs+ ${digits.slice(0, cut)}`, `inputs ${digits.slice(cut)}`];
        const reader = new BatchReader();
        const read = texts.map((text) => {
          const body = { kind: 'log', level: 'debug', text } as const;
          return reader.take({ seq: 1, time: 0, replica: replicaId('server'), cause: [], body });
        });
        expect(read).toEqual(['part', { count, inputs: some }]);
      }),
    );
  });
});
