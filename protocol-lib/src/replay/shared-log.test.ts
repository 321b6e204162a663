import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { encodeSnapshot, SharedEventLog } from '../events/index.ts';
import { milliseconds, seededRandom } from '../ports/index.ts';
import { replicaId } from '../state/index.ts';
import { firstSnapshot, type Outgoing, SyncManager, type SyncManagerOptions } from '../sync/index.ts';
import { TraceHub, type TraceRecord } from '../trace/index.ts';
import { headerOf, stepsIn } from './captured.test-helper.ts';
import { AUTHORITY, boxes, STEP } from './house.test-helper.ts';
import {
  JournaledClient,
  JournaledManager,
  LiveJournal,
  type ReplayResult,
  reexecuteSteps,
  runBranch,
} from './index.ts';

const ANN = replicaId('ann');
const FIRST = firstSnapshot(boxes(), seededRandom(1));
const LINK = 1;

const ACTS = [
  ...['put', 'take', 'ann puts', 'ann takes', 'other puts', 'other takes', 'other takes'],
  ...['append', 'other appends', 'follow', 'other follows', 'step', 'attach'],
] as const;
type Act = (typeof ACTS)[number];
const acts = fc.array(fc.constantFrom(...ACTS), { maxLength: 40, size: 'max' });

/** Two authorities over one log, of which the first is recorded, with a client. */
class Scene {
  now = milliseconds(1_000);
  readonly records: TraceRecord[] = [];
  readonly #common: Uint8Array[] = [];
  readonly #hub = new TraceHub({ now: () => this.now });
  readonly #journal = new LiveJournal(this.#hub, AUTHORITY);
  readonly #log = begun();
  readonly #otherLog = begun();
  readonly #manager: JournaledManager;
  readonly #other: SyncManager;
  readonly #ann: JournaledClient;

  constructor() {
    const options: SyncManagerOptions = {
      ...{ definition: boxes(), session: 'boxes', random: seededRandom(1), now: this.now },
      replica: AUTHORITY,
      log: this.#log,
    };
    this.#manager = new JournaledManager({ ...options, tap: this.#hub }, this.#journal);
    this.#other = new SyncManager({ ...options, log: this.#otherLog });
    const client = { definition: boxes(), replica: ANN, session: 'boxes', token: '', tap: this.#hub };
    this.#ann = new JournaledClient(client, this.#journal, this.now);
    this.#manager.connect(LINK, this.now);
    this.#up(this.#ann.open(this.now));
  }

  listen(): void {
    this.#hub.listen((record) => this.records.push(record));
    this.#attach();
  }

  #attach(): void {
    this.#manager.describe();
    this.#ann.describe();
    this.#journal.flush();
  }

  happen(act: Act): void {
    const { now } = this;
    if (act === 'put' || act === 'take') this.#manager.mutate(act, null, now);
    else if (act === 'other puts') this.#other.mutate('put', null, now);
    else if (act === 'other takes') this.#other.mutate('take', null, now);
    else if (act === 'ann puts') this.#predict('put');
    else if (act === 'ann takes') this.#predict('take');
    else if (act === 'append') this.#append(this.#log);
    else if (act === 'other appends') this.#append(this.#otherLog);
    else if (act === 'follow') this.#follow(this.#log);
    else if (act === 'other follows') this.#follow(this.#otherLog);
    else if (act === 'attach') this.#attach();
    else this.step();
  }

  step(): void {
    this.now += STEP;
    this.#down(this.#manager.tick(this.now));
    this.#other.tick(this.now);
    this.#up(this.#ann.tick(this.now));
  }

  /** Until all is agreed and told. */
  end(): void {
    for (let at = 0; at < 20; at++) {
      this.#append(this.#log);
      this.step();
    }
    this.#journal.flush();
  }

  /** Whether it is the first; what another has appended is followed first. */
  #append(log: SharedEventLog): void {
    const batch = log.batch(100, 1_000_000);
    if (batch?.expected === this.#common.length) this.#common.push(...batch.entries);
    this.#follow(log);
  }

  #follow(log: SharedEventLog): void {
    const from = log.durable;
    for (const [at, bytes] of this.#common.slice(from).entries()) log.agree(from + 1 + at, bytes);
  }

  #predict(command: string): void {
    if (this.#ann.version === 0) return;
    const result = this.#ann.predict(command, null, this.now, { unchecked: true });
    if ('frames' in result) this.#up(result.frames);
  }

  #up(frames: readonly Uint8Array[]): void {
    for (const frame of frames) this.#down(this.#manager.receive(LINK, frame, this.now));
  }

  #down(outgoing: readonly Outgoing[]): void {
    for (const one of outgoing) if ('frame' in one) this.#up(this.#ann.receive(one.frame, this.now));
  }
}

function begun(): SharedEventLog {
  const log = new SharedEventLog('broker');
  log.begin(encodeSnapshot(FIRST));
  return log;
}

function recorded(before: readonly Act[], after: readonly Act[]): TraceRecord[] {
  const scene = new Scene();
  for (const act of before) scene.happen(act);
  scene.listen();
  for (const act of after) scene.happen(act);
  scene.end();
  return scene.records;
}

function ran(records: readonly TraceRecord[]): ReplayResult {
  return reexecuteSteps(stepsIn(records), { definition: boxes() });
}

describe('an authority that shares its log with another', () => {
  test('is run again to every record, whoever comes first, from where nothing is on its way', {
    timeout: 60_000,
  }, () => {
    let hashes = 0;
    fc.assert(
      fc.property(acts, acts, (before, after) => {
        const result = ran(recorded(before, after));
        expect(result.difference).toBeUndefined();
        expect({ why: result.leftOut.filter(({ why }) => why !== 'before'), ...result }).toMatchObject({
          why: [],
          status: 'equal',
          replicas: [ANN, AUTHORITY],
        });
        for (const { why } of result.leftOut) expect(why).toBe('before');
        hashes += result.hashes;
      }),
    );
    expect(hashes).toBeGreaterThan(500);
  });

  test('decides again what another came before, as it did', () => {
    // Two things are in the box: the other takes both, and what ann took here is refused then.
    const records = recorded([], ['other takes', 'other takes', 'ann takes', 'other appends', 'append', 'step']);
    const refused = records.flatMap(({ body }) => (body.kind === 'rejection' ? [body.mutation.writer] : []));
    expect(refused).toEqual([ANN]);
    expect(ran(records).status).toBe('equal');
    expect(reexecuteSteps(stepsIn(recorded([], ['put', 'append'])), { definition: boxes(2) })).toMatchObject({
      status: 'differs',
      difference: { replica: AUTHORITY },
    });
  });

  test('asks for its rules, and is not branched', () => {
    const records = recorded([], ['ann puts', 'append', 'step']);
    expect(() => reexecuteSteps(stepsIn(records))).toThrowError(/shares its log with others/);
    const header = headerOf('boxes', { authority: AUTHORITY });
    const seq = records.find(({ body }) => body.kind === 'send')?.seq ?? 0;
    const whole = { header, steps: stepsIn(records), records: records.length };
    const branch = () => runBranch(whole, [{ kind: 'drop', seq }], { definition: boxes() });
    expect(branch).toThrowError(expect.objectContaining({ code: 'BRANCH_SHARED' }));
  });
});
