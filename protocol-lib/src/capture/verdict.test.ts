import { expect, it } from 'vitest';
import { replicaId } from '../state/index.ts';
import { AGREEMENT, type ReplicaStatus } from './query.ts';
import { verdictOf } from './verdict.ts';

const status = (replica: string, version: number, more: Partial<ReplicaStatus> = {}): ReplicaStatus => ({
  replica: replicaId(replica),
  connection: 'connected',
  version,
  root: null,
  agreement: AGREEMENT.agrees,
  lag: 0,
  pending: 0,
  oldestPending: 0,
  ...more,
});
const textOf = (...replicas: ReplicaStatus[]): string => verdictOf(replicas, 'server').text;

it('says one version only where all are at it', () => {
  expect(textOf(status('server', 31), status('bot-1', 31))).toBe('2 replicas agree at v31');
  expect(textOf(status('server', 31), status('bot-1', 29, { lag: 2 }))).toBe('2 replicas agree, up to v31');
});

it('leaves out the version of one that it knows nothing of', () => {
  const unknown = status('bot-2', 90, { agreement: AGREEMENT.unknown });
  expect(textOf(status('server', 31), status('bot-1', 31), unknown)).toBe('2 replicas agree at v31, 1 unknown');
});

it('says the worst thing first, and only that', () => {
  const slow = status('bot-1', 17, { lag: 14, oldestPending: 6_000_000_000 });
  expect(textOf(status('server', 31), slow)).toBe('bot-1 is 14 versions behind, oldest pending 6 s');
  const differing = status('bot-2', 31, { agreement: AGREEMENT.differs, differs: { since: 18, position: 4 } });
  expect(textOf(status('server', 31), slow, differing)).toBe('bot-2 differs since v18');
});
