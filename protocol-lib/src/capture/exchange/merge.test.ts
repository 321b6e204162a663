import { describe, expect, test } from 'vitest';
import { diagnoseCapture } from '../../diagnose/index.ts';
import { isInputs } from '../../replay/batches.ts';
import { type ReplicaId, replicaId } from '../../state/index.ts';
import type { TraceBody, TraceRecord } from '../../trace/index.ts';
import type { OpenCapture } from '../engine.ts';
import { memorySink, memorySource } from '../memory-bytes.ts';
import { openCapture } from '../reader.ts';
import { encodeTraceRecord } from '../record-codec.ts';
import { fileOf } from '../testing.test-helper.ts';
import { CaptureWriter } from '../writer.ts';
import { type CaptureMaker, importedHeader, type Merged, mergeCaptures, mergedHeader } from './index.ts';
import { made, recording, recordsOf, valuesOf } from './made.test-helper.ts';
import { renamedBody, type Telling, tellersOf } from './merge-tellers.ts';

const capture = await openCapture(memorySource(await fileOf(recording)));

/** Captures of those records, numbered anew, by a clock that is `offset` ahead. */
async function captureOf(records: readonly TraceRecord[], offset = 0, header = recording.header): Promise<OpenCapture> {
  const sink = memorySink();
  const writer = new CaptureWriter(sink, header);
  const numbers = new Map<number, number>();
  for (const [at, record] of records.entries()) {
    numbers.set(record.seq, at + 1);
    const cause = record.cause.flatMap((one) => numbers.get(one) ?? []);
    writer.append(encodeTraceRecord({ ...record, seq: at + 1, cause, time: record.time + offset }));
  }
  await writer.end();
  return openCapture(memorySource(sink.bytes()));
}

async function merged(...captures: readonly OpenCapture[]) {
  const parts = captures.map((one, at) => ({ name: `part ${at}`, capture: one }));
  let result: Merged | undefined;
  const one = await made(
    async (maker) => {
      result = await mergeCaptures(parts, maker);
    },
    await mergedHeader(parts),
  );
  return { one, records: await recordsOf(one), result: result! };
}

describe('captures of several processes', () => {
  /** The records of some replicas as a process of its own recorded them, by a clock of its own. */
  const part = (replicas: readonly string[], offset: number): Promise<OpenCapture> =>
    captureOf(
      recording.records.filter(({ replica }) => replicas.includes(replica)),
      offset,
    );

  test.each([0, 3_600e9, 1e6])('are put in causal order though one clock is %d ns wrong', async (offset) => {
    const parts = [
      { name: 'server', capture: await part(['server'], 0) },
      { name: 'bots', capture: await part(['bot-1', 'bot-2', 'bot-3'], offset) },
    ];
    let result: Awaited<ReturnType<typeof mergeCaptures>> | undefined;
    const one = await made(
      async (maker) => {
        result = await mergeCaptures(parts, maker);
      },
      await mergedHeader(parts),
    );
    const records = await recordsOf(one);
    expect(records).toHaveLength(recording.records.length);
    const sent = new Set<string>();
    let received = 0;
    for (const { body, replica } of records) {
      if (body.kind === 'send') sent.add(`${body.sender} ${body.sequence} ${body.to}`);
      if (body.kind !== 'receive') continue;
      received++;
      expect(sent.has(`${body.sender} ${body.sequence} ${replica}`)).toBe(true);
    }
    expect(result!.paired).toBe(received);
    // Latencies are the same both ways on average, so the clocks come together within one of them.
    const [server, bots] = result!.offsets;
    expect(Math.abs(server! - bots! - offset)).toBeLessThan(60e6);
    const at = records.length - 1;
    for (const replica of ['server', 'bot-1', 'bot-2'] as ReplicaId[]) {
      expect(valuesOf(await one.state(replica, at, '', 100))).toEqual(
        valuesOf(await capture.state(replica, recording.records.length - 1, '', 100)),
      );
    }
  });

  test('of different sessions are refused', async () => {
    const other = await made(
      (maker) => maker.add(replicaId('a'), 0, { kind: 'replica', role: 'peer' }),
      importedHeader('x', 0),
    );
    const parts = [
      { name: 'one', capture },
      { name: 'two', capture: other },
    ];
    await expect(mergedHeader(parts)).rejects.toMatchObject({
      code: 'MERGE_SESSION',
      message: expect.stringContaining('two'),
    });
  });
});

describe('recordings of one process', () => {
  const { records } = recording;
  // At a change of times: two records of one moment may say the same, and then nobody can tell whose is whose.
  const half = records.findIndex(({ time }, at) => at > records.length >> 1 && time > records[at - 1]!.time);

  test.each([
    ['that overlap', records.slice(0, half + 300), records.slice(half - 300)],
    ['one within the other', records, records.slice(half, half + 300)],
    ['that are the same', records, records],
    ['of which one begins where the other ends', records.slice(0, half), records.slice(half)],
  ])('%s are one, in which each record is there once', async (_, left, right) => {
    const { records: all, result } = await merged(await captureOf(left), await captureOf(right));
    expect(result).toMatchObject({ offsets: [0, 0], renamed: [], twice: left.length + right.length - records.length });
    const plain = ({ time, replica, body, wire }: TraceRecord) => ({ time, replica, body, wire });
    expect(all.map(plain)).toEqual(records.map(plain));
    // A cause from before a recording is in the other one alone; but that of a receipt is found there.
    for (const [at, { cause, body }] of all.entries()) {
      if (at < left.length) expect(cause).toEqual(records[at]!.cause);
      else if (body.kind !== 'receive') expect(records[at]!.cause).toEqual(expect.arrayContaining([...cause]));
    }
  });

  test('merged tell of the divergence once', async () => {
    const { one } = await merged(await captureOf(records), await captureOf(records.slice(half)));
    const [found, alone] = [await diagnoseCapture(one), await diagnoseCapture(capture)];
    expect(found.findings.map(({ class: name, replica, value }) => ({ name, replica, value }))).toEqual(
      alone.findings.map(({ class: name, replica, value }) => ({ name, replica, value })),
    );
  });
});

describe('two processes that are called alike', () => {
  const id = replicaId('server');
  const telling = (part: number, first: number, last: number, name = id): Telling => ({ part, id: name, first, last });

  test('at the same time are two replicas', async () => {
    const other = { ...recording.header, startedAt: recording.header.startedAt + 3 };
    const { result, records } = await merged(capture, await captureOf(recording.records, 0, other));
    const replicas = [...new Set(recording.records.map(({ replica }) => replica))];
    expect(result.renamed).toEqual(replicas.map((from) => ({ part: 1, from, to: `${from}-2` })));
    expect(result.twice).toBe(0);
    for (const { replica, body } of records) {
      const isSecond = replica.endsWith('-2') && !replicas.includes(replica);
      if (body.kind === 'send') expect(body.to.endsWith('-2') && !replicas.includes(body.to)).toBe(isSecond);
      if (body.kind === 'receive') expect(body.sender.endsWith('-2') && !replicas.includes(body.sender)).toBe(isSecond);
    }
  });

  test('are told apart in what a third process had with them', async () => {
    const [ann, bob] = [replicaId('ann'), replicaId('bob')];
    const at = (seq: number, replica: ReplicaId, body: TraceBody): TraceRecord => {
      return { seq, time: seq * 1e6, replica, cause: [], body };
    };
    const frame = (sequence: number) => ({ type: 'EVENT', sender: id, sequence }) as const;
    const server = (to: ReplicaId) => [
      at(1, id, { kind: 'replica', role: 'server' }),
      at(2, id, { kind: 'send', to, ...frame(7) }),
      at(9, id, { kind: 'log', level: 'info', text: 'still there' }),
    ];
    const clients = [
      at(1, ann, { kind: 'replica', role: 'client' }),
      at(2, ann, { kind: 'send', to: id, type: 'HELLO', sender: ann, sequence: 1 }),
      at(3, bob, { kind: 'send', to: id, type: 'HELLO', sender: bob, sequence: 1 }),
      at(4, ann, { kind: 'receive', from: id, ...frame(7) }),
      at(5, bob, { kind: 'receive', from: id, ...frame(7) }),
      at(6, ann, { kind: 'divergence', against: id, version: 1, differences: [], rounds: 1, hashes: 1, bytes: 1 }),
    ];
    const headerOf = (startedAt: number) => ({ ...recording.header, startedAt });
    const { records, result } = await merged(
      await captureOf(server(bob), 0, headerOf(1)),
      await captureOf(server(ann), 0, headerOf(2)),
      await captureOf(clients, 0, headerOf(3)),
    );
    expect(result).toMatchObject({ paired: 2, renamed: [{ part: 1, from: 'server', to: 'server-2' }] });
    for (const { replica, body } of records) {
      const own = replica === ann ? 'server-2' : 'server';
      if (replica !== ann && replica !== bob) continue;
      if (body.kind === 'send') expect([replica, body.to]).toEqual([replica, own]);
      if (body.kind === 'receive') expect([replica, body.from, body.sender]).toEqual([replica, own, own]);
      if (body.kind === 'divergence') expect(body.against).toBe('server-2');
    }
  });

  test('one after the other are two lives of one', () => {
    const tellers = tellersOf([telling(0, 0, 10), telling(1, 11, 20), telling(2, 15, 30)], [0, 1, 2]);
    expect([0, 1, 2].map((part) => tellers.nameOf(part, id))).toEqual(['server', 'server', 'server-2']);
    expect([0, 1, 2].some((part) => tellers.isToldTwice(part, id))).toBe(false);
  });

  test('get names that nobody has', () => {
    const taken = replicaId('server-2');
    const tellers = tellersOf([telling(0, 0, 9), telling(1, 5, 9), telling(1, 5, 9, taken)], [0, 1]);
    expect(tellers.renamed).toEqual([{ part: 1, from: 'server', to: 'server-3' }]);
  });

  test('keep the writers of mutations, which are the same for everybody', () => {
    const mutation = { writer: id, counter: 3 };
    const body = { kind: 'confirmation', mutation, version: 4 } as const;
    expect(renamedBody(body, () => replicaId('server-2'))).toBe(body);
  });

  test('are named so in the lists of a partition as well', () => {
    const [ann, ben] = [replicaId('ann'), replicaId('ben')];
    const nameOf = (one: typeof ann) => (one === ben ? replicaId('ben-2') : one);
    const body = { kind: 'partition', state: 'minority', members: [ann, ben], version: 4, detail: '' } as const;
    const renamed = renamedBody({ ...body, members: [...body.members], reachable: [ben] }, nameOf);
    expect(renamed).toMatchObject({ reachable: ['ben-2'], members: ['ann', 'ben-2'], version: 4 });
    const alone = { ...body, members: [ann], reachable: [] };
    expect(renamedBody(alone, nameOf)).toBe(alone);
  });
});

test('inputs, which count the records of their own part, are left out', async () => {
  const text = 'inputs= 00';
  const log = (replica: string) => (maker: CaptureMaker) =>
    maker.add(replicaId(replica), 1, { kind: 'log', level: 'debug', text });
  const { records } = await merged(await made(log('ann')), await made(log('ben')));
  expect(records.filter(isInputs)).toEqual([]);
});
