import { replicaId } from '@syncscope/protocol/state';
import type { FaultSpec } from '@syncscope/protocol/trace';
import { describe, expect, test } from 'vitest';
import { checkFault, parseFaults } from './specs.ts';

const second = 1_000_000_000;

describe('a fault on the command line', () => {
  test.each([
    ['corrupt:bot-2@3s', { fault: 'corrupt', target: 'bot-2' }, 3 * second],
    ['corrupt:bot-2@500ms:item/golden_key', { fault: 'corrupt', target: 'bot-2', key: 'item/golden_key' }, second / 2],
    [
      'corrupt:bot-2@1.5s:item/golden_key.owner',
      { fault: 'corrupt', target: 'bot-2', key: 'item/golden_key', field: 'owner' },
      1.5 * second,
    ],
    ['drop-delta:bot-1@2s', { fault: 'drop-delta', target: 'bot-1' }, 2 * second],
    ['drop-delta:peer-2@2s:hang-up', { fault: 'drop-delta', target: 'peer-2', news: 'hang-up' }, 2 * second],
    ['latency:80ms±40ms', { fault: 'latency', mean: 80, jitter: 40 }, 0],
    ['latency:80ms+-40ms:bot-1', { fault: 'latency', mean: 80, jitter: 40, target: 'bot-1' }, 0],
    ['latency:1s', { fault: 'latency', mean: 1_000, jitter: 0 }, 0],
    ['loss:2%', { fault: 'loss', rate: 0.02 }, 0],
    ['loss:0.5%:bot-1', { fault: 'loss', rate: 0.005, target: 'bot-1' }, 0],
    ['duplication:5%', { fault: 'duplication', rate: 0.05 }, 0],
    ['reordering:10%~200ms:bot-1', { fault: 'reordering', rate: 0.1, by: 200, target: 'bot-1' }, 0],
    ['network:train', { fault: 'network', preset: 'train' }, 0],
    ['network:conference-wi-fi:bot-1', { fault: 'network', preset: 'conference Wi-Fi', target: 'bot-1' }, 0],
    ['partition:bot-1,bot-2|bot-3@3s', { fault: 'partition', groups: [['bot-1', 'bot-2'], ['bot-3']] }, 3 * second],
    ['crash:bot-1@3s', { fault: 'crash', target: 'bot-1', downtime: 2_000 }, 3 * second],
    ['crash:bot-1@3s+500ms', { fault: 'crash', target: 'bot-1', downtime: 500 }, 3 * second],
    ['clock-skew:bot-1@1s:-90s', { fault: 'clock-skew', target: 'bot-1', by: -90_000 }, second],
    ['clock-skew:bot-1@1s:+5s', { fault: 'clock-skew', target: 'bot-1', by: 5_000 }, second],
    ['reducer:server@1s', { fault: 'reducer', target: 'server', events: 1 }, second],
    ['reducer:server@1s:7', { fault: 'reducer', target: 'server', events: 7 }, second],
  ])('%s', (text, spec, at) => {
    expect(parseFaults(text)).toEqual([{ spec, at }]);
  });

  test('a partition that ends by itself is two', () => {
    expect(parseFaults('partition:bot-1@3s+2s')).toEqual([
      { spec: { fault: 'partition', groups: [['bot-1']] }, at: 3 * second },
      { spec: { fault: 'partition', groups: [] }, at: 5 * second },
    ]);
  });

  test.each([
    '',
    'duplication:101%',
    'reordering:10%',
    'network:moon',
    'partition:@3s',
    'partition:bot-1',
    'partition:bot-1|bot-1@3s',
    'partition:bot-1,,bot-2@3s',
    'crash:bot-1',
    'crash:bot-1@3s+2m',
    'clock-skew:bot-1@1s',
    'reducer:server@1s:0',
    'corrupt',
    'corrupt:bot-2',
    'corrupt:@3s',
    'corrupt:bot 2@3s',
    'corrupt:bot-2@3',
    'corrupt:bot-2@-3s',
    'corrupt:bot-2@3s:nokey',
    'corrupt:bot-2@3s:a/b.c:d',
    'drop-delta:bot-1@2s:x:y',
    'latency:80',
    'latency:±40ms',
    'latency:80ms±40ms:bot-1:x',
    'loss:2',
    'loss:101%',
    'loss:-1%',
    'meteor:bot-1@2s',
    'constructor:bot-1@2s',
  ])('%j is refused with what is allowed', (text) => {
    expect(() => parseFaults(text)).toThrow(
      expect.objectContaining({
        code: 'FAULT_INVALID',
        message: expect.stringContaining('Allowed: corrupt:REPLICA@TIME'),
      }),
    );
  });
});

test.each<FaultSpec>([
  { fault: 'loss', rate: 1.1 },
  { fault: 'loss', rate: -0.1 },
  { fault: 'latency', mean: -1, jitter: 0 },
  { fault: 'latency', mean: 59_000, jitter: 2_000 },
  { fault: 'reordering', rate: 0.5, by: 70_000 },
  { fault: 'clock-skew', target: replicaId('bot-1'), by: Number.POSITIVE_INFINITY },
  { fault: 'partition', groups: [[]] },
  { fault: 'crash', target: replicaId('bot-1'), downtime: -1 },
])('an observer cannot ask for %j', (spec) => {
  expect(() => checkFault(spec)).toThrow(expect.objectContaining({ code: 'FAULT_INVALID' }));
});
