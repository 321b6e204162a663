import { join } from 'node:path';
import { verifyCapture } from '@syncscope/protocol/diagnose';
import { StateRoot } from '@syncscope/protocol/merkle';
import type { FlightRecorderSettings } from '@syncscope/protocol/node';
import { type ReplicaId, recordKey, replicaId } from '@syncscope/protocol/state';
import {
  type FaultSpec,
  type TraceBodyOf,
  type TraceKind,
  type TraceRecord,
  toldRoot,
} from '@syncscope/protocol/trace';
import { afterEach, describe, expect, test } from 'vitest';
import type { CallPeer } from '../scenarios/call-peer.ts';
import { CrapsPeer, firstTable } from '../scenarios/craps-peer.ts';
import { tokensIn } from '../scenarios/craps-rules.ts';
import { isPeers, type SessionOptions, startSession } from '../session.ts';
import { type Cleanups, temporaryFolder, Watcher } from '../testing.ts';
import type { RunningPeers } from './peer-server.ts';

const cleanups: Cleanups = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup();
});

const [peer1, peer2, peer3, peer4, peer5] = [1, 2, 3, 4, 5].map((number) => replicaId(`peer-${number}`)) as [
  ReplicaId,
  ReplicaId,
  ReplicaId,
  ReplicaId,
  ReplicaId,
];
const five = [peer1, peer2, peer3, peer4, peer5];

async function peers(options: SessionOptions): Promise<{ readonly running: RunningPeers; readonly watcher: Watcher }> {
  const sessionsFolder = await temporaryFolder(cleanups);
  const running = await startSession({ seed: 7, sessionsFolder, ...options });
  if (!isPeers(running)) throw new Error('a session of peers was asked for');
  cleanups.unshift(() => running.close());
  const watcher = await Watcher.of(running);
  return { running, watcher };
}

function is<K extends TraceKind>(kind: K, replica?: string) {
  return (record: TraceRecord): record is TraceRecord & { readonly body: TraceBodyOf<K> } =>
    record.body.kind === kind && (replica === undefined || record.replica === replica);
}

const inject = ({ connection }: Watcher, spec: FaultSpec): Promise<void> => connection.inject(spec);

/** Waits until each of these has told, from now on, a state of a version from `version` on that a majority has too. */
async function agreed(watcher: Watcher, names: readonly ReplicaId[], version: number): Promise<void> {
  const from = watcher.records.length;
  const isAgreed = (name: ReplicaId) => (record: TraceRecord) =>
    is('hash', name)(record) && record.body.agrees === true && record.body.version >= version;
  await Promise.all(names.map((name) => watcher.find(isAgreed(name), from)));
}

function crapsPeers({ world }: RunningPeers): CrapsPeer[] {
  return world.peers.filter((one) => one instanceof CrapsPeer);
}

/** In each state that the capture has of anybody there are as many tokens as at first. */
async function expectTokensKept({ capture, records }: Watcher, { seed }: RunningPeers): Promise<void> {
  const tokens = tokensIn(firstTable(seed, five));
  const at = records.flatMap(({ body, replica }, position) =>
    body.kind === 'commit' || body.kind === 'apply' || body.kind === 'snapshot' ? [{ position, replica }] : [],
  );
  expect(at.length).toBeGreaterThan(10);
  for (const { position, replica } of at) {
    const page = await capture.state(replica, position, '', 1_000);
    expect(page.unknown).toBeUndefined();
    expect(tokensIn(StateRoot.from(page.entries.map(({ key, record }) => [key, record] as const)))).toBe(tokens);
  }
  expect(records.filter((record) => is('log')(record) && record.body.level === 'error')).toEqual([]);
}

test('the last seconds of peers too are kept, and saved when one of them differs', async () => {
  const folder = join(await temporaryFolder(cleanups), 'flights');
  let saved: (path: string) => void = () => undefined;
  const path = new Promise<string>((resolve) => {
    saved = resolve;
  });
  const flightRecorder: FlightRecorderSettings = {
    folder,
    settle: 100,
    onSaved: (result) => saved('path' in result ? result.path : String(result.error)),
  };
  const { watcher } = await peers({ scenario: 'craps', flightRecorder });
  await agreed(watcher, [peer1], 2);
  await inject(watcher, { fault: 'corrupt', target: peer2 });
  expect(await path).toContain(folder);
});

describe('a table of craps', () => {
  test('is played by five, agrees on each change, and is told whole to who attaches', async () => {
    const { running, watcher } = await peers({ scenario: 'craps' });
    expect(watcher.connection.header).toMatchObject({ authority: null, scenario: 'craps' });
    await watcher.find((record) => is('commit')(record) && record.body.version >= 20);
    await agreed(watcher, five, 20);
    const { capture, records } = watcher;
    const status = await capture.status(records.length - 1);
    expect(status.replicas.map(({ replica }) => replica).sort()).toEqual(five);
    expect(status.replicas.filter(({ differs }) => differs)).toEqual([]);
    expect(status.verdict.text).toMatch(/^5 peers agree/);
    expect(
      records.filter((record) => ['divergence', 'mismatch', 'repair', 'refused'].includes(record.body.kind)),
    ).toEqual([]);
    // One version is one change: whoever tells of it tells the same root.
    const roots = new Map<number, string>();
    for (const { body } of records) {
      if (body.kind !== 'commit' && body.kind !== 'apply') continue;
      const { version, root } = toldRoot(body)!;
      expect(roots.get(version) ?? root).toBe(root);
      roots.set(version, root);
    }
    expect(await verifyCapture(capture)).toMatchObject({ status: 'agrees', missing: [] });
    await expectTokensKept(watcher, running);
  });

  // Players clash when chance lets them: most often within ten seconds.
  test('turns down what clashes, and what there is no room for, with the reason', { timeout: 120_000 }, async () => {
    const { watcher } = await peers({ scenario: 'craps' });
    await watcher.find((record) => is('vote')(record) && record.body.answer === 'resource-constraint');
    await watcher.find(
      (record) => is('log')(record) && /^take-chip .* was rejected: state-conflict/.test(record.body.text),
    );
    await watcher.find((record) => is('vote')(record) && record.body.answer === 'stale-ballot');
  });

  test('goes on with the majority while two are cut off, and brings together what both did', async () => {
    const { running, watcher } = await peers({ scenario: 'craps' });
    await watcher.find((record) => is('commit')(record) && record.body.version >= 5);
    await inject(watcher, { fault: 'partition', groups: [[peer4, peer5]] });
    const split = await watcher.find((record) => is('partition', peer4)(record) && record.body.state === 'split');
    const tentative = await watcher.find(
      (record) => is('prediction')(record) && [peer4, peer5].includes(record.replica),
    );
    const cut = is('partition', peer4)(split) ? split.body.version : 0;
    await watcher.find((record) => is('commit')(record) && record.body.version > cut + 3);
    const { verdict } = await watcher.capture.status(watcher.records.length - 1);
    expect(verdict).toMatchObject({
      level: 'warning',
      text: expect.stringMatching(/^peer-4( and peer-5 are| is) cut off since v\d+ \(minority\)$/),
    });
    expect(
      running.world.peers
        .filter(({ replica }) => [peer4, peer5].includes(replica))
        .map((one) => (one as CrapsPeer).consensus.version),
    ).toEqual([cut, cut]);
    await inject(watcher, { fault: 'partition', groups: [] });
    await Promise.all(
      five.map((name) => watcher.find((one) => is('partition', name)(one) && one.body.state === 'healed')),
    );
    // Each tentative change became a decided one or was given back, with the reason.
    const mutation = is('prediction')(tentative) ? tentative.body.mutation : undefined;
    for (const { body } of watcher.records) {
      if (body.kind !== 'prediction') continue;
      const isEnd = (one: TraceRecord): boolean =>
        (is('confirmation')(one) || (is('rollback')(one) && one.body.reason !== '')) &&
        one.body.mutation.writer === body.mutation.writer &&
        one.body.mutation.counter === body.mutation.counter;
      await watcher.find(isEnd);
    }
    const report = crapsPeers(running)
      .find(({ replica }) => replica === mutation?.writer)!
      .parting.reports.at(-1)!;
    const own = report.changes.find(
      (one) => one.mutation.writer === mutation?.writer && one.mutation.counter === mutation?.counter,
    );
    expect(own).toMatchObject({ state: expect.stringMatching(/^(applied|rejected)$/) });
    await agreed(watcher, five, cut + 4);
    await expectTokensKept(watcher, running);
  });

  test('mends a wrong copy, down to the record, and a reducer that answered something else', async () => {
    const { watcher } = await peers({ scenario: 'craps' });
    await watcher.find((record) => is('commit')(record) && record.body.version >= 3);
    await inject(watcher, { fault: 'corrupt', target: peer2, key: 'account/house', field: 'tokens' });
    const found = await watcher.find((record) => is('mismatch', peer2)(record));
    await agreed(watcher, [peer2], is('mismatch')(found) ? found.body.version : 0);
    const from = watcher.records.length;
    await inject(watcher, { fault: 'reducer', target: peer3, events: 1 });
    const wrong = await watcher.find((record) => is('mismatch', peer3)(record), from);
    await agreed(watcher, [peer3], is('mismatch')(wrong) ? wrong.body.version : 0);
    const others = watcher.records.filter(
      (record) => is('mismatch')(record) && ![peer2, peer3].includes(record.replica),
    );
    expect(others).toEqual([]);
  });

  test('takes back a peer that crashed, with what it had on its disk', async () => {
    const { running, watcher } = await peers({ scenario: 'craps' });
    await watcher.find((record) => is('commit', peer3)(record) || (is('commit')(record) && record.body.version >= 8));
    await inject(watcher, { fault: 'crash', target: peer3, downtime: 300 });
    const from = watcher.records.length;
    expect(running.world.peer(peer3)).toBeUndefined();
    const back = await watcher.find((record) => is('snapshot', peer3)(record), from);
    expect(is('snapshot')(back) && back.body.version).toBeGreaterThan(0);
    await agreed(watcher, five, is('snapshot')(back) ? back.body.version + 1 : 0);
    await expectTokensKept(watcher, running);
  });

  test('goes on while a clock is wrong by an hour', async () => {
    const { watcher } = await peers({ scenario: 'craps' });
    await watcher.find((record) => is('commit')(record) && record.body.version >= 3);
    for (const by of [3_600_000, -3_600_000]) {
      await inject(watcher, { fault: 'clock-skew', target: peer2, by });
      const newest = watcher.records.findLast(is('commit'))!.body.version;
      await agreed(watcher, five, newest + 5);
    }
  });
});

describe('a call', () => {
  const four = [peer1, peer2, peer3, peer4];
  const quick = { scenario: 'call', compress: 30 };
  const callOf = ({ world }: RunningPeers, name: ReplicaId): CallPeer => world.peer(name) as CallPeer;

  test('is the same for everybody, without anybody who decides', async () => {
    const { running, watcher } = await peers(quick);
    await Promise.all(four.map((name) => watcher.find(is('operation', name))));
    const operations = await watcher.find((record) => is('operation')(record) && record.body.detail === 'mute');
    await agreed(watcher, four, 1);
    expect(operations).toBeDefined();
    const { capture, records } = watcher;
    expect((await capture.status(records.length - 1)).replicas.filter(({ differs }) => differs)).toEqual([]);
    expect(records.filter((record) => is('presence')(record) && record.body.state === 'disconnected')).toEqual([]);
    expect(running.world.targets).toEqual(four);
  });

  test('of which one lost the hang-up is over for that one too, by the heartbeats', async () => {
    const { running, watcher } = await peers({ ...quick, compress: 60 });
    await watcher.find((record) => is('operation')(record) && record.body.detail === 'join');
    await inject(watcher, { fault: 'drop-delta', target: peer2, news: 'hang-up' });
    callOf(running, peer1).fulfil({ wish: 'hang-up' });
    const isOver = (name: ReplicaId): boolean =>
      callOf(running, name).state.get(recordKey('call-1/@end')) !== undefined;
    const lost = await watcher.find((record) => is('fault', peer2)(record) && record.body.phase === 'struck');
    expect(is('fault')(lost) && lost.body.detail).toMatch(
      /^OPERATION from peer-1 to peer-2, \d+ bytes, not delivered$/,
    );
    // Two truths: for one of them the call goes on.
    await watcher.find(() => isOver(peer3) && isOver(peer4));
    expect(isOver(peer2)).toBe(false);
    const repair = await watcher.find((record) => is('repair', peer2)(record), watcher.records.indexOf(lost));
    expect(is('repair')(repair) && repair.body.method).toBe('merkle');
    expect(isOver(peer2)).toBe(true);
    await agreed(watcher, four, 1);
  });

  test('notices who is silent, and takes out who stays away', async () => {
    const { running, watcher } = await peers({ ...quick, compress: 100 });
    await watcher.find((record) => is('operation', peer3)(record) && record.body.writer === peer3);
    await inject(watcher, { fault: 'crash', target: peer3, downtime: 60_000 });
    const from = watcher.records.length;
    const gone = (state: string) => (record: TraceRecord) =>
      is('presence')(record) && record.body.target === peer3 && record.body.state === state;
    await watcher.find(gone('disconnected'), from);
    await watcher.find(gone('left'), from);
    const participants = () => callOf(running, peer1).call.state.present.participants();
    if (participants().some(({ replica }) => replica === peer3)) {
      await watcher.find((record) => is('operation')(record) && record.body.detail === `remove ${peer3}`, from);
    }
    await agreed(watcher, [peer1, peer2, peer4], 1);
    expect(participants().map(({ replica }) => replica)).not.toContain(peer3);
  });

  test('refuses stamps of a clock that is far ahead, and comes to one state all the same', async () => {
    const { running, watcher } = await peers(quick);
    await watcher.find((record) => is('operation', peer2)(record) && record.body.detail === 'join');
    await inject(watcher, { fault: 'clock-skew', target: peer2, by: 120_000 });
    const from = watcher.records.length;
    callOf(running, peer2).fulfil({ wish: 'hang-up' });
    const refused = await watcher.find((record) => is('refused')(record), from);
    expect(is('refused')(refused) && refused.body).toMatchObject({ from: peer2, code: 'CLOCK_TOO_FAR_AHEAD' });
    const isOver = (name: ReplicaId): boolean =>
      callOf(running, name).state.get(recordKey('call-1/@end')) !== undefined;
    await watcher.find(() => four.every(isOver));
    expect(watcher.records.filter((record) => is('presence')(record) && record.body.state === 'left')).toEqual([]);
  });

  test('brings together what was done on both sides of a cut', async () => {
    const { running, watcher } = await peers(quick);
    await Promise.all(four.map((name) => watcher.find(is('operation', name))));
    await inject(watcher, { fault: 'partition', groups: [[peer1, peer2]] });
    const from = watcher.records.length;
    const done = (one: ReplicaId, other: ReplicaId) => (record: TraceRecord) =>
      is('operation')(record) && record.body.origin === 'local' && [one, other].includes(record.replica);
    await watcher.find(done(peer1, peer2), from);
    await watcher.find(done(peer3, peer4), from);
    await inject(watcher, { fault: 'partition', groups: [] });
    // Everybody has seen everything that was done until now, on either side.
    const made = watcher.records.flatMap(({ body }) =>
      body.kind === 'operation' && body.origin === 'local' ? [body] : [],
    );
    await watcher.find(() =>
      made.every(({ writer, counter }) =>
        four.every((name) => callOf(running, name).call.vector.get(writer) >= counter),
      ),
    );
    await agreed(watcher, four, 1);
  });
});

test('a session of peers refuses what only a server could do', async () => {
  const sessionsFolder = await temporaryFolder(cleanups);
  const code = (options: SessionOptions) => startSession({ sessionsFolder, ...options }).catch(({ code }) => code);
  expect(await code({ scenario: 'craps', log: 'x.db' })).toBe('OPTION_UNSUPPORTED');
  expect(await code({ scenario: 'craps', host: '0.0.0.0' })).toBe('OPTION_UNSUPPORTED');
  expect(await code({ scenario: 'adventure', compress: 3 })).toBe('OPTION_UNSUPPORTED');
  expect(await code({ scenario: 'craps', bots: 40 })).toBe('PEERS_INVALID');
  expect(await code({ scenario: 'call', compress: 0.1 })).toBe('COMPRESS_INVALID');
  expect(await code({ scenario: 'chess' })).toBe('SCENARIO_UNKNOWN');
});

test('the same seed gives the same peers the same secrets', async () => {
  const { running: one } = await peers({ scenario: 'craps' });
  const { running: two } = await peers({ scenario: 'craps' });
  const { running: other } = await peers({ scenario: 'craps', seed: 8 });
  const root = ({ seed }: RunningPeers): string => firstTable(seed, five).hash;
  expect(root(one)).toBe(root(two));
  expect(root(one)).not.toBe(root(other));
});
