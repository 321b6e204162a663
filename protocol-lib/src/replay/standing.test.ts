import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { toBase64 } from '../capture/exchange/base64.ts';
import { StateRoot } from '../merkle/index.ts';
import { simulate, simulatedDefinition } from '../simulator/index.ts';
import { type ReplicaId, recordKey } from '../state/index.ts';
import type { SessionDefinition } from '../sync/index.ts';
import { SnapshotRing } from '../sync/snapshots.ts';
import type { Tap, TraceBody, TraceBodyOf, TraceRecord, VectorEntries } from '../trace/index.ts';
import { stepsIn } from './captured.test-helper.ts';
import { BatchBuilder, unpackBatch } from './compact-inputs.ts';
import { type RecordDifference, recordDifference } from './difference.ts';
import { appDecisions } from './driven.ts';
import type { Input } from './inputs.ts';
import { Machines } from './machines.ts';
import type { Placed, Step } from './steps.ts';

/** Compares what machines report with what was recorded, and answers the recorded `seq`. */
class Comparing implements Tap {
  readonly isOpen = true;
  #expected: readonly Placed[] = [];
  #at = 0;
  hashes = 0;
  difference: RecordDifference | { readonly missing: string } | undefined;

  expect(records: readonly Placed[]): void {
    const missing = this.#expected[this.#at];
    if (missing) this.difference ??= { missing: missing.record.body.kind };
    this.#expected = records;
    this.#at = 0;
  }

  emit(replica: ReplicaId, body: TraceBody, cause: readonly number[] = [], wire?: Uint8Array): number {
    const record = this.#expected[this.#at++]?.record;
    if ('root' in body || 'own' in body) this.hashes++;
    const made = { replica, body, cause: cause.filter((seq) => seq > 0), ...(wire ? { wire } : {}) };
    if (record) this.difference ??= recordDifference(record, made);
    else this.difference ??= { missing: `one ${body.kind} more` };
    return record?.seq ?? 0;
  }
}

function recorded(seed: number): { readonly steps: readonly Step[]; readonly definition: SessionDefinition } {
  const records: TraceRecord[] = [];
  simulate({ seed, inputs: true }, (record) => records.push(record));
  const definition = simulatedDefinition({ sessionId: `simulation-${seed}`, build: 'simulator' });
  if (!definition) throw new Error('a simulated session has a definition');
  return { steps: stepsIn(records), definition };
}

function snapshotOf(version: number, root: StateRoot, vector: VectorEntries): TraceBodyOf<'snapshot'> {
  const records = Array.from(root.entries(), ([key, record]) => ({ key, record }));
  return { kind: 'snapshot', reason: 'attach', version, records, root: root.hash, vector: [...vector] };
}

/** As it comes out of a capture. */
function written(input: Input): Input {
  const batch = new BatchBuilder();
  batch.add(input, 0, 0);
  const [entry] = unpackBatch(toBase64(batch.take(0))).entries;
  if (!entry) throw new Error('an input was lost');
  return entry.input;
}

/** New machines that go on where these are; undefined where one of them cannot say where it stands now. */
function standIn(machines: Machines, before: readonly Step[], tap: Tap, decide: () => Machines): Machines | undefined {
  const { authority } = machines;
  const standing = authority?.standing;
  if (!authority || !standing) return undefined;
  const others = decide();
  const head = { replica: authority.replica, now: standing.now };
  const state = snapshotOf(authority.version, authority.root, authority.vector);
  others.apply(written({ op: 'authorityStands', ...head, standing }), [], undefined, state);
  const durable = before.findLast(({ input }) => input?.op === 'durable' || input?.op === 'authority')?.input;
  if (durable?.op === 'durable') others.apply(durable, []);
  for (const { input } of before) if (input?.op === 'client') others.apply(input, []);
  for (const [replica, client] of machines.clients) {
    const { standing } = client;
    if (!standing) return undefined;
    const input = written({ op: 'clientStands', replica, now: 0, standing, isNew: true });
    others.apply(input, [], undefined, snapshotOf(client.version, client.committed, client.vector.entries()));
  }
  return tap.isOpen ? others : undefined;
}

/** Whether a later authority begins with what was in the log before: a recording that began in between does not have it. */
function beginsAgain(steps: readonly Step[]): boolean {
  return steps.some(({ input }) => input?.op === 'authority' && input.log !== null && input.log.last >= 0);
}

/** Runs a session, has everything stand up anew in the midst of it, and runs the rest. Answers how many hashes came after that. */
function runThrough(seed: number, share: number): { readonly hashes: number; readonly wasMoved: boolean } {
  const { steps, definition } = recorded(seed);
  const tap = new Comparing();
  const begin = (): Machines => new Machines(tap, appDecisions(definition, steps));
  let machines = begin();
  let moved: number | undefined;
  for (const [at, { input, records }] of steps.entries()) {
    if (moved === undefined && at >= share * steps.length && !beginsAgain(steps.slice(at))) {
      const others = standIn(machines, steps.slice(0, at), tap, begin);
      if (others) {
        machines = others;
        moved = tap.hashes;
      }
    }
    if (input === undefined) continue;
    tap.expect(records);
    machines.apply(input, records);
    tap.expect([]);
    if (tap.difference) {
      expect({ seed, share, at, op: input.op, replica: input.replica, ...tap.difference }).toBeUndefined();
    }
  }
  return { hashes: tap.hashes - (moved ?? tap.hashes), wasMoved: moved !== undefined };
}

describe('where state machines stand', () => {
  test('is enough to go on from, at any moment of any session', { timeout: 300_000 }, () => {
    let hashes = 0;
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 1_000_000 }),
        fc.double({ min: 0, max: 0.95, noNaN: true }),
        (seed, share) => {
          hashes += runThrough(seed, share).hashes;
        },
      ),
      { numRuns: 25 },
    );
    expect(hashes).toBeGreaterThan(200);
  });

  test('keeps the fields of kept versions in their order, by which deltas are written', () => {
    const ring = new SnapshotRing(10, 10);
    const key = recordKey('box/one');
    const roots = [
      { a: 1, b: 2, c: 3 },
      { a: 1, c: 3 },
      { c: 3, a: 1, b: 2 },
      { b: 5, a: 1 },
    ].map((fields) => StateRoot.from([[key, fields]]));
    for (const [version, root] of roots.entries()) ring.keep({ version, root });
    const present = roots.at(-1) ?? StateRoot.empty;
    const other = new SnapshotRing(10, 10);
    other.resume(ring.standing(present), present);
    for (const [version, root] of roots.entries()) {
      expect(JSON.stringify(other.get(version)?.root.get(key))).toBe(JSON.stringify(root.get(key)));
    }
  });
});
