import { memorySource, openCapture } from '@syncscope/protocol/capture';
import { PROTOCOL_VERSION } from '@syncscope/protocol/messages';
import { monotonicClock } from '@syncscope/protocol/node';
import { randomOf } from '@syncscope/protocol/ports';
import { branchCapture, InputJournal, reexecute, whatIf } from '@syncscope/protocol/replay';
import { type ReplicaId, replicaId } from '@syncscope/protocol/state';
import { type FaultSpec, TRACE_VERSION, TraceHub, type TraceRecord } from '@syncscope/protocol/trace';
import { afterEach, describe, expect, test } from 'vitest';
import { CrapsPeer } from '../scenarios/craps-peer.ts';
import { PEER_SCENARIOS } from '../scenarios/index.ts';
import { peerScenarioGroup } from './peer-group.ts';
import { PeerWorld } from './peer-world.ts';

const [peer1, peer2, peer3] = ['peer-1', 'peer-2', 'peer-3'].map(replicaId) as [ReplicaId, ReplicaId, ReplicaId];
let world: PeerWorld | undefined;
afterEach(() => world?.close('the test is over'));

type Moment = (record: TraceRecord, since: number) => boolean;

/** A session of peers, recorded with its inputs from its first record on until `isEnough`. Somebody attaches at each `moment`, of so many records since the last. */
async function recorded(
  name: string,
  faults: readonly FaultSpec[],
  isEnough: (records: readonly TraceRecord[]) => boolean,
  moment: Moment = () => false,
) {
  const scenario = PEER_SCENARIOS[name]!;
  const hub = new TraceHub(monotonicClock);
  const records: TraceRecord[] = [];
  /** How many records there were when somebody attached. */
  const attached: number[] = [];
  let isAttaching = false;
  /** How many peers could say then where they stood, with a change of their own on its way. */
  let underway = 0;
  const attach = (): void => {
    attached.push(records.length);
    for (const node of world?.peers ?? []) {
      if (node instanceof CrapsPeer && node.consensus.waiting > 0 && node.standing() !== undefined) underway++;
    }
    world?.describe();
    isAttaching = false;
  };
  const enough = new Promise<void>((resolve) => {
    hub.listen((record) => {
      records.push(record);
      if (isEnough(records)) resolve();
      if (!isAttaching && moment(record, records.length - (attached.at(-1) ?? 0))) {
        isAttaching = true;
        setImmediate(attach);
      }
    });
  });
  const random = (part: string) => randomOf(7, part);
  const journal = new InputJournal(hub, peer1);
  const session = new PeerWorld({
    scenario,
    session: name,
    seed: 7,
    random,
    tap: hub,
    compress: 200,
    peers: 3,
    journal,
  });
  world = session;
  session.start();
  for (const fault of faults) await session.faults.inject(fault);
  await enough;
  session.close('enough is recorded');
  const capture = await captureOf(name, records);
  return { capture, records, attached, underway, group: peerScenarioGroup(scenario) };
}

async function captureOf(name: string, records: readonly TraceRecord[]) {
  const versions = { traceVersion: TRACE_VERSION, protocolVersion: PROTOCOL_VERSION };
  const header = { sessionId: name, title: name, scenario: name, startedAt: 0, authority: null, build: 'test' };
  return openCapture(memorySource(await branchCapture({ header: { ...header, ...versions }, records })));
}

const counted = (records: readonly TraceRecord[], kind: string, replica: ReplicaId): number =>
  records.filter((record) => record.body.kind === kind && record.replica === replica).length;

describe('a session of peers that was recorded with its inputs', { timeout: 60_000 }, () => {
  test('is run again to the same records: a call, with a crash and a wrong clock', async () => {
    const faults: FaultSpec[] = [
      { fault: 'clock-skew', target: peer2, by: 700 },
      { fault: 'crash', target: peer3, downtime: 200 },
    ];
    const { capture, records, group } = await recorded('call', faults, (some) => {
      return counted(some, 'operation', peer1) >= 5 && counted(some, 'snapshot', peer3) >= 2;
    });
    expect(records.some(({ body }) => body.kind === 'operation' && body.origin === 'remote')).toBe(true);
    const result = await reexecute(capture, { group });
    expect(result.difference).toBeUndefined();
    expect(result).toMatchObject({ status: 'equal', level: 'app' });
    expect(result.hashes).toBeGreaterThan(10);
  });

  test('is run again to the same records: a table of craps, with a reducer that answers something else', async () => {
    const faults: FaultSpec[] = [{ fault: 'reducer', target: peer2, events: 1 }];
    const { capture, group } = await recorded('craps', faults, (some) => counted(some, 'vote', peer1) >= 30);
    const result = await reexecute(capture, { group });
    expect(result.difference).toBeUndefined();
    expect(result.status).toBe('equal');
    expect(result.hashes).toBeGreaterThan(10);
  });

  test.each([
    ['call', ['operation', 6], 150],
    ['craps', ['vote', 30], 250],
  ] as const)(
    'is run again from wherever somebody attached: %s, with all that can go wrong',
    async (name, [kind, count], every) => {
      const faults: FaultSpec[] = [
        { fault: 'loss', rate: 0.05 },
        { fault: 'reducer', target: peer2, events: 2 },
        { fault: 'clock-skew', target: peer2, by: 700 },
        { fault: 'crash', target: peer3, downtime: 300 },
      ];
      const isEnough = (some: readonly TraceRecord[]): boolean => counted(some, kind, peer1) >= count;
      const { capture, records, attached, group } = await recorded(
        name,
        faults,
        isEnough,
        (_, since) => since >= every,
      );
      expect(await reexecute(capture, { group })).toMatchObject({ status: 'equal' });
      expect(attached.length).toBeGreaterThan(2);
      for (const first of attached.slice(0, 2)) {
        const result = await reexecute(await captureOf(name, records.slice(first)), { group });
        expect(result.difference).toBeUndefined();
        expect(result.hashes).toBeGreaterThan(0);
      }
      // Cut anywhere, as a recorder does that keeps the last of it.
      for (let first = 7; first < attached[1]!; first += 97) {
        const result = await reexecute(await captureOf(name, records.slice(first)), { group });
        expect(result.difference).toBeUndefined();
      }
    },
  );

  test('is run again with everybody from where somebody attached while changes were on their way, also such as were tentative', async () => {
    const faults: FaultSpec[] = [
      { fault: 'partition', groups: [[peer3]] },
      { fault: 'loss', rate: 0.05 },
    ];
    let isHealed = false;
    const isEnough = (some: readonly TraceRecord[]): boolean => {
      if (!isHealed && counted(some, 'prediction', peer3) > 0) {
        isHealed = true;
        setImmediate(() => world?.faults.inject({ fault: 'partition', groups: [] }));
      }
      return counted(some, 'confirmation', peer3) + counted(some, 'rollback', peer3) > 0;
    };
    const isUnderway: Moment = ({ body }, since) =>
      since >= 30 && body.kind === 'proposal' && (body.phase === 'prepare' || body.phase === 'accept');
    const { records, attached, underway, group } = await recorded('craps', faults, isEnough, isUnderway);
    expect(underway).toBeGreaterThan(0);
    // Whoever waited for its disk in the last moment could not say where it stood.
    for (const first of attached.slice(-11, -1)) {
      const result = await reexecute(await captureOf('craps', records.slice(first)), { group });
      expect(result.difference).toBeUndefined();
      expect(result.leftOut.filter(({ why }) => why !== 'before')).toEqual([]);
      expect(result.replicas).toEqual([peer1, peer2, peer3]);
    }
  });

  test('is branched: an operation of a call that never arrives is made good by the heartbeats', async () => {
    const { capture, records, group } = await recorded('call', [], (some) => counted(some, 'operation', peer1) >= 4);
    const lost = records.find(({ body }) => body.kind === 'receive' && body.type === 'OPERATION');
    const { comparison, capture: branch } = await whatIf(capture, [{ kind: 'drop', seq: lost!.seq }], { group });
    expect(comparison.isEqual).toBe(false);
    expect(comparison.first?.replica).toBe(lost?.replica);
    expect(await reexecute(await openCapture(memorySource(branch)), { group })).toMatchObject({ status: 'equal' });
  });
});
