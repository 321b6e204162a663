import { describe, expect, test } from 'vitest';
import { LiveCapture } from '../capture/live.ts';
import { memorySource } from '../capture/memory-bytes.ts';
import type { MemoryFault } from '../capture/memory-session.test-helper.ts';
import { openCapture } from '../capture/reader.ts';
import { encodeTraceRecord } from '../capture/record-codec.ts';
import { coinRecording, fileOf } from '../capture/testing.test-helper.ts';
import type { TraceRecord } from '../trace/index.ts';
import { verifyCapture } from './verify.ts';

async function captureOf(fault: MemoryFault['kind'] | undefined) {
  const recording = coinRecording(fault);
  return { recording, capture: await openCapture(memorySource(await fileOf(recording))) };
}

describe('why a replica differs is told from the records, for', () => {
  test('a value changed in its own memory', async () => {
    const { recording, capture } = await captureOf('corrupt');
    const desync = (await capture.nextMarker(-1, 1, 'desync'))!;
    const explanation = (await capture.explain(desync.position))!;
    expect(explanation).toMatchObject({
      replica: 'bot-2',
      against: 'server',
      class: 'corrupted-at-rest',
      differences: [{ key: 'coin/39', side: 'both', fields: [{ field: 'worth', left: 1_000, right: 39 }] }],
    });
    expect(explanation.sentence).toBe(
      `bot-2 differs from server since v${explanation.sinceVersion}: coin/39 · worth is 1000, should be 39`,
    );
    const struck = recording.records.findIndex(({ body }) => body.kind === 'fault');
    expect(explanation.firstDifference).toBeLessThan(struck);
    expect(explanation.detected).toBeGreaterThan(struck);
    expect(recording.records[explanation.repaired!]?.body.kind).toBe('repair');
    // Any record between cause and repair leads to the same explanation.
    for (const position of [explanation.firstDifference, struck, explanation.detected, explanation.repaired!]) {
      expect(await capture.explain(position)).toEqual(explanation);
    }
    expect(await capture.explain(5)).toBeUndefined();
    expect(await capture.explain(recording.records.length - 1)).toBeUndefined();
  });

  test('a delta that never arrived', async () => {
    const { recording, capture } = await captureOf('drop-delta');
    const refusal = (await capture.nextMarker(-1, 1, 'refused-delta'))!;
    const explanation = (await capture.explain(refusal.position))!;
    expect(explanation.class).toBe('lost');
    expect(recording.records[explanation.firstDifference]).toMatchObject({
      replica: 'server',
      body: { kind: 'send', to: 'bot-2', type: 'DELTA_SYNC' },
    });
    expect(explanation.evidence[0]?.text).toMatch(/^server sent bot-2 a delta from v\d+ to v\d+ .* never received\.$/);
    expect(explanation.differences.length).toBeGreaterThan(0);
  });

  test('a frame changed on its way', async () => {
    const { recording, capture } = await captureOf('flip');
    const desync = (await capture.nextMarker(-1, 1, 'desync'))!;
    const explanation = (await capture.explain(desync.position))!;
    expect(explanation.class).toBe('corrupted-in-transit');
    expect(recording.records[explanation.firstDifference]).toMatchObject({
      replica: 'bot-2',
      body: { kind: 'receive' },
    });
  });

  test('a fault that was asked for is no evidence: without those records it says the same', async () => {
    for (const fault of ['corrupt', 'drop-delta', 'flip'] as const) {
      const { recording, capture } = await captureOf(fault);
      const silent = new LiveCapture(recording.header);
      for (const record of recording.records) {
        const { body } = record;
        const said: TraceRecord =
          body.kind === 'fault' ? { ...record, body: { kind: 'log', level: 'debug', text: '' } } : record;
        silent.append(encodeTraceRecord(said));
      }
      const mark = (await capture.nextMarker(-1, 1, fault === 'drop-delta' ? 'refused-delta' : 'desync'))!;
      const explanation = await capture.explain(mark.position);
      expect(explanation).toBeDefined();
      expect(await silent.explain(mark.position)).toEqual(explanation);
    }
  });
});

describe('verifying replays everything, and', () => {
  test('agrees where nothing went wrong', async () => {
    const { recording, capture } = await captureOf(undefined);
    expect(await verifyCapture(capture)).toMatchObject({
      status: 'agrees',
      records: recording.records.length,
      missing: [],
    });
  });

  test('names replica, version, key, field, values and record of the first divergence', async () => {
    const { recording, capture } = await captureOf('corrupt');
    const { status, divergence } = await verifyCapture(capture);
    expect(status).toBe('diverged');
    expect(divergence).toMatchObject({
      replica: 'bot-2',
      against: 'server',
      key: 'coin/39',
      field: 'worth',
      own: 1_000,
      expected: 39,
      class: 'corrupted-at-rest',
      repaired: true,
    });
    expect(recording.records[divergence!.position]?.seq).toBe(divergence!.seq);
  });

  test('finds changes that do not give the root hash that was told, though nobody noticed', async () => {
    const recording = coinRecording();
    const at = recording.records.findIndex(({ body }) => body.kind === 'apply' && body.changes.length > 0);
    const live = new LiveCapture(recording.header);
    for (const [position, record] of recording.records.entries()) {
      const { body } = record;
      live.append(
        encodeTraceRecord(
          position === at && body.kind === 'apply' ? { ...record, body: { ...body, changes: [] } } : record,
        ),
      );
    }
    const { status, divergence } = await verifyCapture(live);
    expect(status).toBe('diverged');
    expect(divergence).toMatchObject({
      position: at,
      seq: recording.records[at]!.seq,
      replica: recording.records[at]!.replica,
    });
  });

  test('says what is missing', async () => {
    const bytes = await fileOf(coinRecording());
    const cut = await openCapture(memorySource(bytes.subarray(0, Math.floor(bytes.length / 2))));
    const { status, missing } = await verifyCapture(cut);
    expect(status).toBe('incomplete');
    expect(missing[0]).toMatch(/can be read; what came after is missing/);
  });
});
