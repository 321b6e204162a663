import { beforeAll, describe, expect, test } from 'vitest';
import { memorySource, type OpenCapture, openCapture } from '../capture/index.ts';
import { milliseconds } from '../ports/index.ts';
import { recordSimulation, simulatedDefinition } from '../simulator/index.ts';
import type { SessionDefinition } from '../sync/index.ts';
import type { TraceRecord } from '../trace/index.ts';
import { captureOf, headerOf } from './captured.test-helper.ts';
import { AUTHORITY, boxes, House } from './house.test-helper.ts';
import { branchCapture, type Edit, readSteps, reexecute, runBranch, whatIf } from './index.ts';
import type { RecordedSteps } from './steps.ts';

const SEED = 11;
const WITHOUT = ['crash', 'disk', 'corrupt', 'clock', 'server-pause', 'cut'] as const;

let capture: OpenCapture;
let records: readonly TraceRecord[];
let recorded: RecordedSteps;
let definition: SessionDefinition | undefined;

beforeAll(async () => {
  const simulation = await recordSimulation({ seed: SEED, without: [...WITHOUT] });
  capture = await openCapture(memorySource(simulation.capture));
  records = simulation.records;
  definition = simulatedDefinition((await capture.info()).header);
  recorded = await readSteps(capture);
});

const isDelta = ({ body }: TraceRecord): boolean => body.kind === 'receive' && body.type === 'DELTA_SYNC';

/** What a frame is by, wherever its record stands. */
function nameOf({ body, replica }: TraceRecord): string | undefined {
  if (body.kind === 'send') return `${body.sender} ${body.sequence} ${body.to}`;
  return body.kind === 'receive' ? `${body.sender} ${body.sequence} ${replica}` : undefined;
}

const receipts = (trace: readonly TraceRecord[], name: string | undefined): number =>
  trace.filter((one) => one.body.kind === 'receive' && nameOf(one) === name).length;

describe('a message that was lost', () => {
  let lossy: OpenCapture;
  let sent: number;

  beforeAll(async () => {
    const receipt = records.find((one) => isDelta(one) && one.time > milliseconds(300))!;
    const branch = runBranch(recorded, [{ kind: 'drop', seq: receipt.seq }], { definition });
    lossy = await openCapture(memorySource(await branchCapture(branch)));
    const name = nameOf(receipt);
    expect(receipts(branch.records, name)).toBe(0);
    sent = branch.records.find((one) => one.body.kind === 'send' && nameOf(one) === name)!.seq;
  });

  test('arrives where it is delayed, by no time as well', async () => {
    const { record } = await lossy.record(sent - 1);
    for (const by of [0, milliseconds(40)]) {
      const { branch } = await whatIf(lossy, [{ kind: 'delay', seq: sent, by }], { definition });
      const arrived = branch.records.find((one) => one.body.kind === 'receive' && nameOf(one) === nameOf(record));
      expect(arrived!.time).toBeGreaterThanOrEqual(record.time + by);
    }
  });

  test.each([{ kind: 'drop' }, { kind: 'duplicate' }, { kind: 'edit', path: 'to', value: 1 }] as const)(
    'has nothing else done to it: $kind',
    async (edit) => {
      const steps = await readSteps(lossy);
      expect(() => runBranch(steps, [{ ...edit, seq: sent } as Edit], { definition })).toThrowError(
        expect.objectContaining({ code: 'EDIT_NEVER_ARRIVED' }),
      );
    },
  );

  test('is swapped with none, and none with itself', async () => {
    const { steps, ...rest } = await readSteps(lossy);
    const other = steps.flatMap((step) => step.records).find(({ record }) => isDelta(record))!.record.seq;
    const swap = (seq: number): Edit => ({ kind: 'swap', seq, other });
    const refused = (code: string) => expect.objectContaining({ code });
    expect(() => runBranch({ ...rest, steps }, [swap(sent)], { definition })).toThrowError(
      refused('EDIT_NEVER_ARRIVED'),
    );
    expect(() => runBranch({ ...rest, steps }, [swap(other)], { definition })).toThrowError(refused('EDIT_INVALID'));
  });
});

describe('what was on its way when the recording ended', () => {
  /** The recording up to a moment at which the receipt of a delta is still to come. */
  function endedBefore(receipt: TraceRecord): RecordedSteps {
    const at = recorded.steps.findIndex((step) => step.records.some(({ record }) => record.seq === receipt.seq));
    return { ...recorded, steps: recorded.steps.slice(0, at) };
  }

  test('arrives in a branch, once, and is no loss', () => {
    const late = records.filter((one) => isDelta(one) && one.time > milliseconds(800)).slice(0, 5);
    expect(late).toHaveLength(5);
    const touched = records.find(isDelta)!.seq;
    for (const receipt of late) {
      const { records: branch } = runBranch(endedBefore(receipt), [{ kind: 'delay', seq: touched, by: 0 }], {
        definition,
      });
      expect(receipts(branch, nameOf(receipt))).toBe(receipts(records, nameOf(receipt)));
    }
  });

  test('does not where it is dropped', () => {
    const receipt = records.findLast((one) => isDelta(one) && receipts(records, nameOf(one)) === 1)!;
    const sending = records.find((one) => one.body.kind === 'send' && nameOf(one) === nameOf(receipt))!;
    const { records: branch } = runBranch(endedBefore(receipt), [{ kind: 'drop', seq: sending.seq }], { definition });
    expect(receipts(branch, nameOf(receipt))).toBe(0);
  });
});

test('several messages are otherwise in one branch', async () => {
  const [first, second] = records.filter(
    (one) => isDelta(one) && one.time > milliseconds(300) && receipts(records, nameOf(one)) === 1,
  );
  const edits = [
    { kind: 'drop', seq: first!.seq },
    { kind: 'delay', seq: second!.seq, by: milliseconds(250) },
  ] as const;
  const { branch } = await whatIf(capture, edits, { definition });
  expect(branch.records[0]?.body).toMatchObject({
    kind: 'log',
    text: expect.stringMatching(new RegExp(`drop ${first!.seq}.*delay ${second!.seq}`)),
  });
  expect(receipts(branch.records, nameOf(first!))).toBe(0);
  const later = branch.records.find((one) => one.body.kind === 'receive' && nameOf(one) === nameOf(second!))!;
  expect(later.time).toBe(second!.time + milliseconds(250));
});

test('a client whose HELLO was on its way when the recording began goes on over its own link', async () => {
  const house = new House(boxes());
  const ben = house.join('ben');
  house.late.set('ann', 3);
  const ann = house.join('ann');
  const told: TraceRecord[] = [];
  house.hub.listen((record) => told.push(record));
  house.manager.describe();
  for (const { state } of house.clients) state.describe();
  for (let at = 0; at < 40; at++) {
    if (at > 10 && at % 5 === 0) ann.send('put', null);
    if (at % 7 === 0) ben.send('put', null);
    house.step();
  }
  house.journal.flush();
  const midway = await captureOf(headerOf('boxes', { authority: AUTHORITY }), told);
  const lost = told.find((one) => isDelta(one) && one.replica === ann.state.replica && one.seq > told.length / 2)!;
  const rules = { definition: boxes() };
  const { comparison, capture: branch } = await whatIf(midway, [{ kind: 'drop', seq: lost.seq }], rules);
  expect(comparison.first?.replica).toBe(ann.state.replica);
  expect(await reexecute(await openCapture(memorySource(branch)), rules)).toMatchObject({ status: 'equal' });
});
