import { expect, test } from 'vitest';
import { LiveCapture } from '../capture/live.ts';
import { memorySource } from '../capture/memory-bytes.ts';
import { recordMemorySession } from '../capture/memory-session.test-helper.ts';
import { openCapture } from '../capture/reader.ts';
import { coinRecording, fileOf } from '../capture/testing.test-helper.ts';
import { recordKey, replicaId } from '../state/index.ts';
import { coinSession } from '../sync/memory-link.test-helper.ts';
import type { TraceRecord } from '../trace/index.ts';
import { Audit } from './audit.ts';
import { diagnoseCapture } from './diagnosis.ts';
import { MEMORIES } from './finding.ts';
import { sentenceOf } from './sentence.ts';
import { verifyCapture } from './verify.ts';

/** Long enough that only a part of it is read to explain what is near its end. */
function longRecording(fault: 'corrupt' | 'flip' | 'drop-delta') {
  return recordMemorySession({
    definition: coinSession,
    seed: 11,
    bots: 3,
    length: 50_000,
    play: (_replica, random) => ({
      pause: () => 60 + random.next() * 100,
      think: () => ({ command: 'note', args: { id: Math.floor(random.next() * 8), text: `${random.next()}` } }),
    }),
    fault: {
      kind: fault,
      target: 'bot-2',
      at: 45_000,
      choose: () => ({ op: 'patch', key: recordKey('coin/39'), fields: { worth: 1_000 }, removed: [] }),
    },
  });
}

test.each(['corrupt', 'flip'] as const)(
  'of a long capture (%s) a part says what the whole says, and so does verify',
  async (fault) => {
    const recording = longRecording(fault);
    expect(recording.records.length).toBeGreaterThan(20_000);
    const capture = await openCapture(memorySource(await fileOf(recording)));
    const { findings, forgotten } = await diagnoseCapture(capture);
    expect(findings).toHaveLength(1);
    const [finding] = findings;
    const desync = (await capture.nextMarker(-1, 1, 'desync'))!;
    const explanation = (await capture.explain(desync.position))!;
    expect(explanation).toMatchObject({
      ...{ class: finding!.class, replica: finding!.replica, against: finding!.against, time: finding!.time },
      ...{ firstDifference: finding!.cause.position, detected: finding!.detected.position },
      ...{ repaired: finding!.repaired!.position, sentence: sentenceOf(finding!), differences: finding!.differences },
      ...{ confidence: finding!.confidence, reason: finding!.reason, confirm: finding!.confirm },
      evidence: finding!.evidence.map(({ text }) => ({ text })),
    });
    const { divergence } = await verifyCapture(capture);
    expect(divergence).toMatchObject({
      ...{
        sentence: explanation.sentence,
        class: finding!.class,
        position: finding!.detected.position,
        repaired: true,
      },
    });
    // What had to be let go of is said, each kind once.
    expect(forgotten.length).toBeGreaterThan(0);
    expect(new Set(forgotten.map(({ memory }) => memory)).size).toBe(forgotten.length);
    for (const one of forgotten) {
      expect(MEMORIES).toContain(one.memory);
      expect(one.forgotten).toBeGreaterThan(0);
    }
  },
);

test('a delta that was refused and asked for again is no divergence, and what made it not fit is said', async () => {
  const recording = coinRecording('drop-delta');
  const capture = await openCapture(memorySource(await fileOf(recording)));
  const { findings, verdicts } = await diagnoseCapture(capture);
  expect(findings).toEqual([]);
  const [verdict] = verdicts;
  expect(verdict).toMatchObject({ verdict: 'refused-delta', replica: 'bot-2', because: { class: 'lost' } });
  const explanation = (await capture.explain(verdict!.record.position))!;
  expect(explanation).toMatchObject({
    ...{ verdict: 'refused-delta', class: 'lost', firstDifference: verdict!.because!.cause.position },
    sentence: `no divergence: ${verdict!.text}`,
  });
  expect((await verifyCapture(capture)).status).toBe('agrees');
});

test('a live capture that let go of its beginning explains what is left as the file does', async () => {
  const recording = longRecording('corrupt');
  const live = new LiveCapture(recording.header, { maxBytes: 2 * 1024 * 1024 });
  for (const record of recording.encoded) {
    live.append(record);
    // The oldest chunks go in between.
    if (live.records % 1_000 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  expect(live.kept).toBeLessThan(live.records);
  const capture = await openCapture(memorySource(await fileOf(recording)));
  const desync = (await live.nextMarker(-1, 1, 'desync'))!;
  const told = (await live.explain(desync.position))!;
  const expected = (await capture.explain(desync.position))!;
  expect(told).toMatchObject({
    class: expected.class,
    firstDifference: expected.firstDifference,
    sentence: expected.sentence,
  });
});

test('memory is bounded however long a session goes on, and what was let go of is counted', () => {
  const server = replicaId('server');
  const client = replicaId('client');
  const audit = new Audit({ authority: server, startedAt: 1_767_225_600_000 });
  const rounds = 70_000;
  for (let at = 0; at < rounds; at++) {
    const record: TraceRecord = {
      ...{ seq: at + 1, time: at * 1_000, replica: server, cause: [], wire: Uint8Array.of(at & 0xff) },
      body: { kind: 'send', to: client, type: 'DELTA_SYNC', sender: server, sequence: at + 1 },
    };
    audit.take(at, record);
  }
  const { forgotten } = audit.finish();
  expect(forgotten.map(({ memory }) => memory)).toEqual(['records', 'frames']);
  for (const { kept, forgotten: gone } of forgotten) expect(kept + gone).toBe(rounds);
});
