import fc from 'fast-check';
import { expect, test } from 'vitest';
import { packMsgpack } from '../../bytes/index.ts';
import { verifyCapture } from '../../diagnose/index.ts';
import { StateRoot } from '../../merkle/index.ts';
import { keyedPseudonyms } from '../../node/pseudonyms.ts';
import { BatchBuilder } from '../../replay/compact-inputs.ts';
import { recordKey, replicaId, type SyncRecord, type Value } from '../../state/index.ts';
import { TRACE_VERSION, type TraceBody, type TraceHeader, type TraceRecord } from '../../trace/index.ts';
import { inputTexts } from '../inputs-text.ts';
import { memorySink, memorySource } from '../memory-bytes.ts';
import { rawRecords } from '../raw-records.ts';
import { openCapture } from '../reader.ts';
import { encodeTraceRecord } from '../record-codec.ts';
import { CaptureWriter } from '../writer.ts';
import { isToldEarly, RecordRedactor, recordedHeader, redactAgain } from './index.ts';
import { isIn, unpacked } from './unpacked.test-helper.ts';

/** Sessions that tell a secret in any places and order, by their recordings. */

const server = replicaId('server');
const viewer = replicaId('viewer');
const SECRET = 'HUSHhush12/34+"5\\6';
const utf8 = new TextEncoder();
const header: TraceHeader = {
  ...{ sessionId: 'told', title: 'Told', scenario: 'none', traceVersion: TRACE_VERSION, protocolVersion: 1 },
  ...{ startedAt: 0, authority: server, build: 'test' },
};

/** What a session can tell of a word. */
const TEXTS: readonly ((word: string) => string)[] = [
  (word) => `hello ${word}`,
  (word) => JSON.stringify({ a: [word] }),
  (word) => JSON.stringify(JSON.stringify({ password: word })),
  (word) => `GET /?q=${encodeURIComponent(word)}`,
  (word) => `data ${Buffer.from(`{"x":${JSON.stringify(word)}}`).toString('base64')}`,
  (word) => Buffer.from(`..${word}`).toString('hex'),
  (word) => `Authorization: Basic ${Buffer.from(`me:${word}`).toString('base64')}`,
  () => `tokens=5, {"tokens":100}, "key": 'x'`,
  (word) => JSON.stringify(JSON.stringify(JSON.stringify({ password: word }))),
  (word) => JSON.stringify({ password: word }),
];
const FIELDS: readonly ((word: string) => Readonly<Record<string, Value>>)[] = [
  (word) => ({ note: `so ${word}` }),
  (word) => ({ list: [{ deep: word }] }),
  (word) => ({ [`by ${word}`]: 1 }),
  (word) => ({ bytes: utf8.encode(`in ${word}`) }),
  (word) => ({ password: word }),
  (word) => ({ deep: { tokens: [word] } }),
  (word) => ({ bytes: packMsgpack({ list: [{ password: word }] }) }),
  () => ({ tokens: 100 }),
];

const TELLINGS = ['text', 'frame', 'inputs', 'put', 'patch', 'rootless', 'hash', 'snapshot'] as const;
interface Step {
  readonly tell: (typeof TELLINGS)[number];
  /** Of the texts, or of the fields. */
  readonly which: number;
  readonly isSecret: boolean;
}

const step: fc.Arbitrary<Step> = fc.record({
  tell: fc.constantFrom(...TELLINGS),
  which: fc.nat({ max: 39 }),
  isSecret: fc.boolean(),
});

/** The records that the steps tell, of a state that fits its hashes. */
function told(steps: readonly Step[]): TraceRecord[] {
  const records: TraceRecord[] = [];
  const key = recordKey('player/alice');
  let state = StateRoot.from([[key, { name: 'Alice' }]]);
  let version = 1;
  const tell = (body: TraceBody, wire?: Uint8Array, replica = server): void => {
    const seq = records.length + 1;
    records.push({ seq, time: seq, replica, cause: [], body, ...(wire ? { wire } : {}) });
  };
  const snapshot = (): void => {
    const all = Array.from(state.entries(), ([one, record]) => ({ key: one, record }));
    for (const replica of [server, viewer])
      tell(
        { kind: 'snapshot', reason: 'periodic', version, records: all, root: state.hash, vector: [] },
        undefined,
        replica,
      );
  };
  snapshot();
  for (const one of steps) {
    if (one.tell === 'snapshot') snapshot();
    else if (one.tell === 'hash')
      for (const replica of [server, viewer]) tell({ kind: 'hash', version, own: state.hash }, undefined, replica);
    else {
      const word = one.isSecret ? SECRET : 'nothing of interest';
      const text = TEXTS[one.which % TEXTS.length]!(word);
      if (one.tell === 'text') tell({ kind: 'log', level: 'info', text });
      else if (one.tell === 'frame')
        tell({ kind: 'receive', from: viewer, type: 'COMMAND', sender: viewer, sequence: 1 }, utf8.encode(text));
      else if (one.tell === 'inputs') {
        const inputs = new BatchBuilder();
        inputs.add({ op: 'mutate', replica: server, now: 1, command: 'x', args: text }, 0, 1);
        for (const part of inputTexts(inputs.take(0))) tell({ kind: 'log', level: 'debug', text: part });
      } else {
        const fields = FIELDS[one.which % FIELDS.length]!(word) as SyncRecord;
        const changes =
          one.tell === 'put'
            ? [{ op: 'put' as const, key, record: fields }]
            : [
                {
                  op: 'patch' as const,
                  key,
                  fields,
                  removed: Object.keys(state.get(key) ?? {}).filter((name) => !(name in fields)),
                },
              ];
        state = state.apply(changes);
        const event = { type: 'SET', player: 'alice', detail: '' };
        const root = one.tell === 'rootless' ? {} : { root: state.hash };
        tell({ kind: 'commit', version: version + 1, event, changes, ...root });
        tell({ kind: 'apply', from: version, to: version + 1, changes, root: state.hash }, undefined, viewer);
        version++;
      }
    }
  }
  return records;
}

/** The steps after which the word is known to be secret, wherever it stands. */
function namesIt({ tell, which, isSecret }: Step): boolean {
  const isField = tell === 'put' || tell === 'patch' || tell === 'rootless';
  const isText = tell === 'text' || tell === 'frame' || tell === 'inputs';
  return (
    isSecret &&
    ((isField && [4, 5, 6].includes(which % FIELDS.length)) || (isText && [2, 8, 9].includes(which % TEXTS.length)))
  );
}

async function recordsOf(file: Uint8Array): Promise<Uint8Array[]> {
  const records: Uint8Array[] = [];
  for await (const chunk of rawRecords(memorySource(file))) records.push(...chunk);
  return records;
}

/** A secret with a quote in it, named by JSON that stands in JSON: a part of it was taken for the whole. */
const QUOTED: Step[] = [
  { tell: 'patch', which: 0, isSecret: true },
  { tell: 'text', which: 2, isSecret: true },
  { tell: 'snapshot', which: 0, isSecret: false },
  { tell: 'put', which: 12, isSecret: true },
];

test('none has it in any part where something names it, at any place; states fit, and to look again changes nothing', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 12 }), async (steps) => {
      const records = told(steps);
      const rules = { pseudonym: keyedPseudonyms() };
      const redactor = new RecordRedactor(rules);
      const first = memorySink();
      const writer = new CaptureWriter(first, recordedHeader(header, rules));
      for (const record of records) for (const one of redactor.take(encodeTraceRecord(record))) writer.append(one);
      for (const one of redactor.end()) writer.append(one);
      await writer.flush();
      const isEarly = await isToldEarly(memorySource(first.bytes()), redactor, {});
      const again = memorySink();
      await redactAgain(memorySource(first.bytes()), again, recordedHeader(header, rules), redactor, {});
      if (!isEarly) expect(await recordsOf(again.bytes())).toEqual(await recordsOf(first.bytes()));
      expect(await isToldEarly(memorySource(again.bytes()), redactor, {})).toBe(false);
      if (steps.some(namesIt)) expect(isIn(unpacked(again.bytes()), SECRET)).toBe(false);
      const capture = await openCapture(memorySource(again.bytes()));
      expect(await verifyCapture(capture)).toMatchObject({ status: 'agrees' });
      let seq = 0;
      for await (const { record } of capture.trace()) expect(record.seq).toBe(++seq);
      expect(seq).toBe(records.length);
    }),
    { numRuns: 60, examples: [[QUOTED]] },
  );
}, 60_000);
