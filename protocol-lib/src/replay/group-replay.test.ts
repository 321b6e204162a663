import { describe, expect, test } from 'vitest';
import { memorySource, openCapture } from '../capture/index.ts';
import { milliseconds } from '../ports/index.ts';
import { recordSimulation, simulatedGroup } from '../simulator/index.ts';
import type { TraceRecord } from '../trace/index.ts';
import { isInputs, readSteps, reexecute, runBranch, whatIf } from './index.ts';

type Scenario = 'consensus' | 'partition';
const SCENARIOS: readonly Scenario[] = ['consensus', 'partition'];
/** A short one in which a stranger speaks on the bus. */
const STRANGER_SEED = 60;

async function recordedGroup(scenario: Scenario, seed: number) {
  const { capture, records } = await recordSimulation({ seed, scenario });
  const opened = await openCapture(memorySource(capture));
  return { opened, records, group: simulatedGroup((await opened.info()).header) };
}

const session = (trace: readonly TraceRecord[]) =>
  trace.filter((record) => !isInputs(record)).map(({ replica, time, body, wire }) => ({ replica, time, body, wire }));

/** The first message of this type that somebody received. */
function receipt(records: readonly TraceRecord[], type: string, from = 0): TraceRecord {
  const found = records.find(({ body, seq }) => seq > from && body.kind === 'receive' && body.type === type);
  if (!found) throw new Error(`the seed has a ${type}`);
  return found;
}

describe('a session without an authority', () => {
  test.each(SCENARIOS)('comes to every record again from its file: %s', async (scenario) => {
    const { opened, group } = await recordedGroup(scenario, 2);
    const result = await reexecute(opened, { group });
    expect(result).toMatchObject({ status: 'equal', level: 'app' });
    expect(result.hashes).toBeGreaterThan(50);
  });

  test('is run again from the last beginning of each member before what is compared', async () => {
    let shorter = 0;
    for (const seed of [6, 18]) {
      const { opened, records, group } = await recordedGroup('consensus', seed);
      const whole = await reexecute(opened, { group });
      for (const part of [0.3, 0.6, 0.95]) {
        const result = await reexecute(opened, { group, from: Math.floor(records.length * part) });
        expect(result.difference).toBeUndefined();
        if (result.inputs < whole.inputs) shorter++;
      }
    }
    expect(shorter).toBeGreaterThan(1);
  });

  test('asks for the definition of its group, and for its inputs', async () => {
    const { opened } = await recordedGroup('partition', 2);
    await expect(reexecute(opened)).rejects.toMatchObject({ code: 'REPLAY_NEEDS_DEFINITION' });
    const steps = await readSteps(opened);
    expect(() => runBranch(steps, [])).toThrowError(/give the definition of its group/);
    const bare = await recordSimulation({ seed: 2, scenario: 'partition', inputs: false });
    const attached = await openCapture(memorySource(bare.capture));
    await expect(reexecute(attached)).rejects.toMatchObject({ code: 'REPLAY_INPUTS_MISSING' });
  });

  test('names the record at which another rule of the app goes another way', async () => {
    const { opened, group } = await recordedGroup('consensus', 2);
    if (!group) throw new Error('the simulator knows its group');
    const result = await reexecute(opened, {
      group: {
        open: (ports, made, before) => {
          const node = group.open(ports, made, before);
          const act: typeof node.act = (action, args) => {
            if (action !== 'propose') node.act(action, args);
          };
          return {
            receive: (frame, from) => node.receive(frame, from),
            tick: () => node.tick(),
            act,
            corrupt: (changes) => node.corrupt(changes),
            end: (reason) => node.end(reason),
          };
        },
      },
    });
    expect(result.status).toBe('differs');
    expect(result.difference?.sentence).toMatch(/did not make the proposal again/);
  });
});

describe('a branch of one', () => {
  test.each(SCENARIOS)('is the recording without an edit, whatever the seed: %s', async (scenario) => {
    for (const seed of [2, 5, 7, 12]) {
      const { opened, records, group } = await recordedGroup(scenario, seed);
      const { records: branch } = runBranch(await readSteps(opened), [], { group });
      expect(session(branch.slice(1))).toEqual(session(records));
    }
  });

  test.each([
    ['consensus', 'VOTE', 'drop'],
    ['consensus', 'ACCEPT', 'delay'],
    ['consensus', 'DECIDED', 'duplicate'],
    ['partition', 'PEER_CHANGES', 'drop'],
    ['partition', 'PEER_CHANGES', 'delay'],
  ] as const)('of %s whose %s is to %s goes another way, ends equal, and runs again', async (scenario, type, kind) => {
    const { opened, records, group } = await recordedGroup(scenario, 5);
    const { seq, replica } = receipt(records, type);
    const edit = kind === 'delay' ? ({ kind, seq, by: milliseconds(300) } as const) : ({ kind, seq } as const);
    const { comparison, capture } = await whatIf(opened, [edit], { group });
    expect(comparison.isEqual).toBe(false);
    expect(comparison.first?.replica).toBe(replica);
    expect(new Set(comparison.ends.map(({ right }) => right?.root)).size).toBe(1);
    expect(await reexecute(await openCapture(memorySource(capture)), { group })).toMatchObject({ status: 'equal' });
  });

  test('lets what a stranger said never arrive, or say it twice', async () => {
    const { opened, records, group } = await recordedGroup('consensus', STRANGER_SEED);
    const strange = records.find(({ body }) => body.kind === 'receive' && body.sender === 'mallory');
    if (!strange) throw new Error('a stranger speaks in this seed');
    const refusals = (some: readonly TraceRecord[]): number =>
      some.filter(({ body }) => body.kind === 'refused' && body.code === 'MEMBER_UNKNOWN').length;
    const steps = await readSteps(opened);
    for (const [kind, by] of [
      ['drop', -1],
      ['duplicate', 1],
    ] as const) {
      const { records: branch } = runBranch(steps, [{ kind, seq: strange.seq }], { group });
      expect(refusals(branch)).toBe(refusals(records) + by);
    }
  });

  test('with two messages exchanged or one edited goes another way, too', async () => {
    const { opened, records, group } = await recordedGroup('consensus', 5);
    const first = receipt(records, 'VOTE');
    const second = receipt(records, 'VOTE', first.seq);
    for (const edit of [
      { kind: 'swap', seq: first.seq, other: second.seq },
      { kind: 'edit', seq: first.seq, path: 'answer', value: 'resource-constraint' },
    ] as const) {
      const { comparison } = await whatIf(opened, [edit], { group });
      expect(comparison.isEqual, edit.kind).toBe(false);
    }
    const steps = await readSteps(opened);
    expect(() => runBranch(steps, [{ kind: 'drop', seq: 1 }], { group })).toThrowError(/no message/);
  });
});
