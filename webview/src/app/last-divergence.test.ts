import type { CaptureQuery, Explanation, Marker } from '@syncscope/protocol/capture';
import { replicaId } from '@syncscope/protocol/state';
import { expect, it } from 'vitest';
import { firstDivergence, lastDivergence } from './last-divergence.ts';

const bot = replicaId('bot-2');

/** Marks at these positions, of which some only looked like a divergence and of one nothing is known. */
function marked(marks: Readonly<Record<number, 'divergence' | 'unknown' | 'refused-delta' | 'unexplained'>>) {
  const positions = Object.keys(marks)
    .map(Number)
    .sort((a, b) => a - b);
  const query: Pick<CaptureQuery, 'nextMarker' | 'explain'> = {
    async nextMarker(position, direction) {
      const at =
        direction === 1 ? positions.find((one) => one > position) : positions.findLast((one) => one < position);
      const mark: Marker = { position: at ?? 0, time: 0, kind: 'desync', replica: bot, text: '' };
      return at === undefined ? undefined : mark;
    },
    async explain(position) {
      const what = marks[position];
      if (what === 'unexplained') return undefined;
      const explanation: Explanation = {
        ...{ sentence: '', replica: bot, against: bot, sinceVersion: 1, time: 0, reason: '', confirm: '' },
        ...{ firstDifference: position, detected: position, confidence: 'high' },
        ...{ evidence: [], differences: [], class: what === 'divergence' ? 'corrupted-at-rest' : 'unknown' },
      };
      return what === 'refused-delta' ? { ...explanation, verdict: 'refused-delta' } : explanation;
    },
  };
  return query;
}

it.each([
  ['is the one before the position', { 10: 'divergence', 20: 'divergence', 30: 'divergence' }, 20],
  ['passes over what turned out to be none', { 10: 'divergence', 20: 'refused-delta' }, 10],
  ['is the one of a story of which the cause is known', { 10: 'divergence', 15: 'unexplained', 20: 'unknown' }, 10],
  ['counts what nothing explains', { 10: 'unexplained', 20: 'unexplained', 22: 'refused-delta' }, 20],
  ['is not one of long before', { [-1_500]: 'divergence', 20: 'unexplained' }, 20],
  ['is none where there are only others', { 10: 'refused-delta', 20: 'refused-delta' }, undefined],
  ['is none without a mark', {}, undefined],
] as const)('the last divergence %s', async (_, marks, expected) => {
  expect((await lastDivergence(marked(marks), 25))?.position).toBe(expected);
});

it.each([
  ['passes over what turned out to be none', { 10: 'refused-delta', 20: 'divergence', 30: 'divergence' }, 20],
  ['is the first mark where none is one', { 10: 'refused-delta', 20: 'refused-delta' }, 10],
  ['is none without a mark', {}, undefined],
] as const)('the first divergence %s', async (_, marks, expected) => {
  expect((await firstDivergence(marked(marks)))?.position).toBe(expected);
});
