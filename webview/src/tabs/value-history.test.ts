import { encodeTraceRecord, LiveCapture } from '@syncscope/protocol/capture';
import { StateRoot } from '@syncscope/protocol/merkle';
import { type Change, recordKey, replicaId } from '@syncscope/protocol/state';
import type { TraceBody } from '@syncscope/protocol/trace';
import { describe, expect, it } from 'vitest';
import { header, MS } from '../app/live-capture.test-helper.ts';
import { valueHistory } from './value-history.ts';

const server = replicaId('server');
const bot = replicaId('bot-1');
const key = recordKey('item/map');
const before = StateRoot.empty.apply([{ op: 'put', key, record: { owner: null } }]);
const taken: Change[] = [{ op: 'patch', key, fields: { owner: 'bot-1' }, removed: [] }];
const after = before.apply(taken);

const snapshot: TraceBody = {
  kind: 'snapshot',
  reason: 'attach',
  version: 1,
  records: [{ key, record: { owner: null } }],
  root: before.hash,
  vector: [],
};
const conflict: TraceBody = {
  kind: 'conflict',
  key,
  policy: 'last-write',
  state: 'resolved',
  base: { owner: null },
  sides: [],
  result: { owner: 'bot-1' },
  winner: bot,
  reason: '',
};
const commit: TraceBody = {
  kind: 'commit',
  version: 2,
  event: { type: 'ITEM_TAKEN', player: 'bot-1', detail: '' },
  mutation: { writer: bot, counter: 1 },
  changes: taken,
  root: after.hash,
};
const apply: TraceBody = { kind: 'apply', from: 1, to: 2, changes: taken, root: after.hash };

/** Records of these replicas, each caused by those with these numbers, from 1. */
function captureOf(told: readonly (readonly [typeof server, TraceBody, ...number[]])[]): LiveCapture {
  const live = new LiveCapture(header);
  for (const [at, [replica, body, ...cause]] of told.entries()) {
    live.append(encodeTraceRecord({ seq: at + 1, time: at * MS, replica, cause, body }));
  }
  return live;
}

describe('valueHistory', () => {
  it('tells of each change what made it stand, and who wrote it', async () => {
    const capture = captureOf([
      [server, snapshot],
      [bot, snapshot],
      [server, commit],
      [bot, apply, 3],
    ]);
    const told = await valueHistory(capture, server, key, 'owner', 3, 20);
    expect(told.map(({ after, rule, writer }) => [after, rule, writer])).toEqual([
      ['bot-1', 'commit order', 'bot-1'],
      [null, 'first state', undefined],
    ]);
    expect(told[0]?.why).toBe('commit 2 (ITEM_TAKEN), written by bot-1');
    const [newest] = await valueHistory(capture, bot, key, 'owner', 3, 1);
    expect([newest?.rule, newest?.why]).toEqual(['commit order', expect.stringContaining('the delta from 1 to 2')]);
  });

  it('names the policy of the conflict that led to a change', async () => {
    const capture = captureOf([
      [bot, snapshot],
      [bot, conflict],
      [bot, apply, 2],
    ]);
    const [newest] = await valueHistory(capture, bot, key, 'owner', 2, 20);
    expect([newest?.rule, newest?.why]).toEqual(['policy', expect.stringContaining('last-write')]);
  });
});
