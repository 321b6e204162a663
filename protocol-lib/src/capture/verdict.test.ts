import { expect, it } from 'vitest';
import { replicaId, stateHash } from '../state/index.ts';
import { AGREEMENT, type ReplicaStatus } from './query.ts';
import { verdictOf } from './verdict.ts';

const status = (replica: string, version: number, more: Partial<ReplicaStatus> = {}): ReplicaStatus => ({
  replica: replicaId(replica),
  connection: 'connected',
  version,
  root: null,
  agreement: AGREEMENT.agrees,
  lag: 0,
  behindFor: 0,
  pending: 0,
  oldestPending: 0,
  ...more,
});
const textOf = (...replicas: ReplicaStatus[]): string => verdictOf(replicas, 'server').text;
const peersText = (...replicas: ReplicaStatus[]): string => verdictOf(replicas, null).text;
const [ROOT, OTHER] = [stateHash('00000000000000aa'), stateHash('00000000000000bb')];

it('says one version only where all are at it', () => {
  expect(textOf(status('server', 31), status('bot-1', 31))).toBe('2 replicas agree at v31');
  expect(textOf(status('server', 31), status('bot-1', 29, { lag: 2 }))).toBe('2 replicas agree at v29–v31');
});

it('tells of a replica that hears nothing, once that is longer than a way and back takes', () => {
  const cutOff = (ms: number) => status('bot-1', 29, { lag: 2, behindFor: ms * 1e6 });
  expect(textOf(status('server', 31), cutOff(1_900))).toBe('2 replicas agree at v29–v31');
  expect(textOf(status('server', 31), cutOff(2_400))).toBe('bot-1 is 2 versions behind for 2 s');
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

it('says of one that refused a delta that it asks again, where nobody differs', () => {
  const asking = status('bot-1', 17, { lag: 2, refused: 9 });
  expect(verdictOf([status('server', 19), asking], 'server')).toEqual({
    level: 'warning',
    text: 'bot-1 refused a delta at v17 and asks again',
    position: 9,
  });
  const differing = status('bot-2', 19, { agreement: AGREEMENT.differs, differs: { since: 18, position: 12 } });
  expect(textOf(status('server', 19), asking, differing)).toBe('bot-2 differs since v18');
  expect(textOf(status('server', 19), { ...asking, connection: 'gone' })).toBe('1 replica is at v19');
});

it('says of peers how many are of one state', () => {
  const [a, b, c] = ['peer-1', 'peer-2', 'peer-3'].map((one) => status(one, 31, { root: ROOT }));
  expect(peersText(a!, b!, c!)).toBe('3 peers agree at v31');
  const early = status('peer-3', 30, { root: OTHER });
  expect(peersText(a!, b!, early)).toBe('3 peers agree at v30–v31');
  expect(peersText(a!, b!, { ...early, agreement: AGREEMENT.unknown })).toBe(
    '2 of 3 peers agree, the others are on their way',
  );
  // Each replica of a CRDT counts its own changes.
  expect(peersText(a!, status('peer-2', 12, { root: ROOT }))).toBe('2 peers agree');
  expect(peersText(a!)).toBe('1 peer, nothing to compare yet');
});

it('says of peers who is cut off, from their own records', () => {
  const [a, b] = ['peer-1', 'peer-2'].map((one) =>
    status(one, 31, { root: ROOT, cut: { state: 'minority', since: 28, position: 9 } }),
  );
  const alone = status('peer-3', 28, { root: OTHER, lag: 3, cut: { state: 'split', since: 28, position: 8 } });
  expect(peersText(a!, b!, alone)).toBe('peer-3 is cut off since v28 (minority)');
  expect(peersText(a!, b!, alone, { ...alone, replica: replicaId('peer-4') })).toBe(
    'peer-3 and peer-4 are cut off since v28 (minority)',
  );
  expect(peersText(a!, b!)).toBe('peer-1 and peer-2 do not reach everybody since v28 (majority)');
  expect(peersText(a!)).toBe('peer-1 does not reach everybody since v28 (majority)');
  const merging = { ...alone, cut: { state: 'merging' as const, since: 28, position: 8 } };
  expect(peersText(merging)).toBe('peer-3 brings together what both sides did since v28');
});

it('puts a difference between peers before a cut', () => {
  const differing = status('peer-2', 31, { root: OTHER, differs: { since: 31, position: 4 } });
  expect(peersText(status('peer-1', 31, { root: ROOT }), differing)).toBe('peer-2 differs since v31');
});
