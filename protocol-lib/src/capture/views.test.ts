import { describe, expect, test } from 'vitest';
import { verifyCapture } from '../diagnose/verify.ts';
import { type RecordKey, recordKey } from '../state/index.ts';
import type { SessionDefinition, StateView } from '../sync/index.ts';
import { memorySource } from './memory-bytes.ts';
import { recordMemorySession } from './memory-session.test-helper.ts';
import { AGREEMENT } from './query.ts';
import { openCapture } from './reader.ts';
import { fileOf } from './testing.test-helper.ts';

const STOOLS = 8;

function sideOf(state: StateView, who: string): unknown {
  return state.get(recordKey(`player/${who}`))?.side;
}

/** Two sides of a street; who is on one does not see the other. Stools are carried about, players cross. */
const street: SessionDefinition = {
  name: 'street',
  *initialRecords() {
    for (const [index, who] of ['bot-1', 'bot-2', 'bot-3'].entries())
      yield [recordKey(`player/${who}`), { side: index % 2 }];
    for (let index = 0; index < STOOLS; index++)
      yield [recordKey(`stool/${index}`), { side: index % 2, used: 0, wood: 'oak' }];
  },
  view(state, replica) {
    const side = sideOf(state, replica);
    return { id: `side ${side}`, sees: (_key, record) => record.side === side };
  },
  commands: {
    cross: (state, _args, writer) => ({
      accepted: true,
      events: [
        {
          type: 'CROSSED',
          player: writer,
          detail: '',
          data: { key: `player/${writer}`, side: sideOf(state, writer) === 0 ? 1 : 0 },
        },
      ],
    }),
    sit: (state, args, writer) => {
      const { key } = args as { readonly key: RecordKey };
      const stool = state.get(key);
      if (!stool) return { accepted: false, reason: 'it is not there' };
      return {
        accepted: true,
        events: [{ type: 'SAT', player: writer, detail: key, data: { key, used: Number(stool.used) + 1 } }],
      };
    },
  },
  reduce(_state, { data }) {
    const { key, ...fields } = data as { readonly key: string };
    return [{ op: 'patch', key: recordKey(key), fields, removed: [] }];
  },
};

function recording(fault: boolean) {
  return recordMemorySession({
    definition: street,
    bots: 3,
    length: 12_000,
    latency: 30,
    play: (_replica, random) => ({
      pause: () => 100 + random.next() * 300,
      think: () =>
        random.next() < 0.2
          ? { command: 'cross', args: {} }
          : { command: 'sit', args: { key: `stool/${Math.floor(random.next() * STOOLS)}` } },
    }),
    ...(fault
      ? {
          fault: {
            kind: 'corrupt' as const,
            target: 'bot-2',
            at: 5_000,
            choose: (view) => {
              const [stool] = view.entries('stool/');
              return stool && { op: 'patch', key: stool[0], fields: { wood: 'ash' }, removed: [] };
            },
          },
        }
      : {}),
  });
}

describe('replicas that are shown only a part', () => {
  test('are not taken for different', async () => {
    const { records, header, encoded } = recording(false);
    expect(records.some(({ body }) => body.kind === 'view')).toBe(true);
    const capture = await openCapture(memorySource(await fileOf({ header, records, encoded })));
    expect(await capture.nextMarker(-1, 1, 'desync')).toBeUndefined();
    let agreeing = 0;
    for (let position = 0; position < records.length; position += 20) {
      for (const status of (await capture.status(position)).replicas) {
        expect(status.agreement, `${status.replica} at ${position}`).not.toBe(AGREEMENT.differs);
        if (status.replica !== 'server' && status.agreement !== AGREEMENT.unknown) agreeing++;
      }
    }
    expect(agreeing).toBeGreaterThan(100);
    expect((await verifyCapture(capture)).divergence).toBeUndefined();
  });

  test('are when they are, and no longer when they are repaired', async () => {
    const { records, header, encoded } = recording(true);
    const capture = await openCapture(memorySource(await fileOf({ header, records, encoded })));
    const desync = (await capture.nextMarker(-1, 1, 'desync'))!;
    expect(records[desync.position]?.replica).toBe('bot-2');
    const during = (await capture.status(desync.position)).replicas.find(({ replica }) => replica === 'bot-2');
    expect(during?.agreement).toBe(AGREEMENT.differs);
    const after = (await capture.status(records.length - 1)).replicas.find(({ replica }) => replica === 'bot-2');
    expect(after?.differs).toBeUndefined();
    expect((await verifyCapture(capture)).divergence).toMatchObject({
      replica: 'bot-2',
      repaired: true,
      field: 'wood',
      own: 'ash',
    });
  });
});
