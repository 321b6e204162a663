import { replicaId } from '@syncscope/protocol/state';
import { describe, expect, test } from 'vitest';
import { checkFault, parseFault } from './specs.ts';

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
    ['latency:80ms±40ms', { fault: 'latency', mean: 80, jitter: 40 }, 0],
    ['latency:80ms+-40ms:bot-1', { fault: 'latency', mean: 80, jitter: 40, target: 'bot-1' }, 0],
    ['latency:1s', { fault: 'latency', mean: 1_000, jitter: 0 }, 0],
    ['loss:2%', { fault: 'loss', rate: 0.02 }, 0],
    ['loss:0.5%:bot-1', { fault: 'loss', rate: 0.005, target: 'bot-1' }, 0],
  ])('%s', (text, spec, at) => {
    expect(parseFault(text)).toEqual({ spec, at });
  });

  test.each([
    '',
    'corrupt',
    'corrupt:bot-2',
    'corrupt:@3s',
    'corrupt:bot 2@3s',
    'corrupt:bot-2@3',
    'corrupt:bot-2@-3s',
    'corrupt:bot-2@3s:nokey',
    'corrupt:bot-2@3s:a/b.c:d',
    'drop-delta:bot-1@2s:x',
    'latency:80',
    'latency:±40ms',
    'latency:80ms±40ms:bot-1:x',
    'loss:2',
    'loss:101%',
    'loss:-1%',
    'meteor:bot-1@2s',
    'constructor:bot-1@2s',
  ])('%j is refused with what is allowed', (text) => {
    expect(() => parseFault(text)).toThrow(
      expect.objectContaining({
        code: 'FAULT_INVALID',
        message: expect.stringContaining('Allowed: corrupt:REPLICA@TIME'),
      }),
    );
  });
});

test.each([
  { fault: 'loss', rate: 1.1 },
  { fault: 'loss', rate: -0.1 },
  { fault: 'latency', mean: -1, jitter: 0 },
  { fault: 'latency', mean: 59_000, jitter: 2_000 },
] as const)('an observer cannot ask for %j', (spec) => {
  expect(() => checkFault({ ...spec, target: replicaId('bot-1') })).toThrow(
    expect.objectContaining({ code: 'FAULT_INVALID' }),
  );
});
