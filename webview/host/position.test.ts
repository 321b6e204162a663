import { expect, it } from 'vitest';
import { parseMoment, parseReplicaAt } from './position.ts';

it.each([
  ['118', { kind: 'version', version: 118 }],
  ['v118', { kind: 'version', version: 118 }],
  ['seq:4211', { kind: 'record', seq: 4_211 }],
  ['12.5s', { kind: 'time', nanoseconds: 12_500_000_000 }],
  ['12500ms', { kind: 'time', nanoseconds: 12_500_000_000 }],
  ['0s', { kind: 'time', nanoseconds: 0 }],
  [undefined, { kind: 'end' }],
])('reads the moment %s', (text, moment) => {
  expect(parseMoment(text)).toEqual(moment);
});

it.each(['', 'x', 'seq:', 'seq:-1', '-1', '1.5', '5m', '1e3', 's', 'vv1'])('refuses %j as a moment', (text) => {
  expect(() => parseMoment(text)).toThrow(expect.objectContaining({ code: 'AT_INVALID' }));
});

it('reads a replica and its moment', () => {
  expect(parseReplicaAt('bot-2@v7')).toEqual({ replica: 'bot-2', moment: { kind: 'version', version: 7 } });
  expect(parseReplicaAt('server')).toEqual({ replica: 'server', moment: { kind: 'end' } });
  expect(() => parseReplicaAt('@7')).toThrow(expect.objectContaining({ code: 'REPLICA_INVALID' }));
});
