import { isSyncError } from '@syncscope/protocol/errors';
import type { Appended, BusEntry, EventBus } from './bus.ts';

export interface BusTest {
  readonly name: string;
  run(): Promise<void>;
}

/** What a test of {@link eventBusContract} needs: two connections to one broker, each as another process has it. */
export interface BusUnderTest {
  readonly first: EventBus;
  readonly second: EventBus;
}

let sessions = 0;

/** The acceptance suite of `EventBus`, for any test runner. `open` is asked once a test; sessions have names of their own. */
export function eventBusContract(open: () => BusUnderTest | Promise<BusUnderTest>): BusTest[] {
  const test = (name: string, run: (bus: BusUnderTest, session: string) => Promise<void>): BusTest => ({
    name,
    run: async () => run(await open(), `contract ${process.pid}.${++sessions} *> ü`),
  });
  return [
    test('has no log before one has begun', async ({ first }, session) => {
      same(await first.last(session), -1, 'the last position');
      same(await first.snapshot(session), undefined, 'the snapshot');
      same(await first.append(session, -1, bytesOf(0, 1)), { isAppended: false, last: -1 }, 'an append');
      same(await first.append(session, 0, bytesOf(0, 1)), { isAppended: false, last: -1 }, 'an append');
      same(await first.read(session, -1, 10), [], 'what is read');
    }),
    test('is begun once, whoever is first', async ({ first, second }, session) => {
      const began = await Promise.all(
        Array.from({ length: 6 }, (_, index) =>
          (index % 2 ? first : second).begin(session, { position: 0, bytes: new Uint8Array([index]) }),
        ),
      );
      same(began.filter(Boolean).length, 1, 'how many began it');
      const snapshots = await Promise.all([first, second].map((bus) => bus.snapshot(session)));
      for (const one of snapshots)
        same(one, { position: 0, bytes: new Uint8Array([began.indexOf(true)]) }, 'the first');
      same(await second.last(session), 0, 'the last position');
    }),
    test('gives back what was appended, in order, to everybody', async ({ first, second }, session) => {
      await begin(first, session);
      same(await first.append(session, 0, bytesOf(1, 5)), { isAppended: true, last: 5 }, 'an append');
      same(await second.append(session, 5, bytesOf(6, 2)), { isAppended: true, last: 7 }, 'an append');
      for (const bus of [first, second]) {
        same(await bus.read(session, 0, 100), entriesOf(1, 7), 'all entries');
        same(await bus.read(session, 3, 3), entriesOf(4, 3), 'entries 4 to 6');
        same(await bus.read(session, 7, 3), [], 'what is after the end');
        same(await bus.last(session), 7, 'the last position');
      }
    }),
    test('appends only behind the end, all or none', async ({ first, second }, session) => {
      await begin(first, session);
      await first.append(session, 0, bytesOf(1, 3));
      for (const expected of [0, 2, 4, -1]) {
        const answer = await second.append(session, expected, bytesOf(50, 2));
        same(answer, { isAppended: false, last: 3 }, `an append behind ${expected}`);
      }
      same(await first.read(session, 0, 100), entriesOf(1, 3), 'the entries');
    }),
    test('lets one of many extend a position', async ({ first, second }, session) => {
      await begin(first, session);
      const taken: Uint8Array[] = [];
      for (let round = 0; round < 20; round++) {
        const expected = taken.length;
        const tries = Array.from({ length: 8 }, (_, index) => bytesOf(round * 100 + index * 3, (index % 3) + 1));
        const answers = await Promise.all(
          tries.map((entries, index) => (index % 2 ? first : second).append(session, expected, entries)),
        );
        const winners = answers.flatMap(({ isAppended }, index) => (isAppended ? [index] : []));
        same(winners.length, 1, `appends behind ${expected} that were taken`);
        taken.push(...tries[winners[0]!]!);
        const last = await second.last(session);
        same(last, taken.length, 'the last position');
      }
      const read = await first.read(session, 0, 1_000);
      same(
        read.map(({ bytes }) => bytes),
        taken,
        'the entries',
      );
    }),
    test('takes appends one behind the other without a pause', async ({ first, second }, session) => {
      await begin(first, session);
      const answers: Appended[] = [];
      for (let at = 0; at < 100; at++) {
        answers.push(await (at % 2 ? first : second).append(session, at, bytesOf(at + 1, 1)));
      }
      holds(
        answers.every(({ isAppended }) => isAppended),
        'an append was refused',
      );
      same(await second.read(session, 0, 1_000), entriesOf(1, 100), 'the entries');
      const parts = [await second.read(session, 0, 30), await second.read(session, 30, 1_000)];
      same(parts.flat(), entriesOf(1, 100), 'the entries in parts');
    }),
    test('carries any bytes, as many as it says', async ({ first, second }, session) => {
      await begin(first, session);
      const all = Uint8Array.from({ length: 256 }, (_, index) => index);
      const large = new Uint8Array(Math.min(first.limits.bytes, 512 * 1024)).fill(0xc3);
      const many = Array.from({ length: first.limits.entries }, (_, index) => new Uint8Array([index & 0xff]));
      await first.append(session, 0, [all, new Uint8Array(), large]);
      await first.append(session, 3, many);
      const read = await second.read(session, 0, 10_000);
      same(read.length, 3 + many.length, 'how many are read');
      for (const [index, bytes] of [all, new Uint8Array(), large, ...many].entries()) {
        holds(Buffer.compare(read[index]!.bytes, bytes) === 0, `the bytes of entry ${index + 1}`);
      }
    }),
    test('keeps sessions apart', async ({ first }, session) => {
      for (const one of [`${session}a`, `${session}b`]) await begin(first, one);
      await first.append(`${session}a`, 0, bytesOf(1, 2));
      await first.append(`${session}b`, 0, bytesOf(7, 1));
      await first.append(`${session}a`, 2, bytesOf(3, 1));
      same(await first.read(`${session}a`, 0, 10), entriesOf(1, 3), 'one');
      same(await first.read(`${session}b`, 0, 10), [{ position: 1, bytes: bytesOf(7, 1)[0] }], 'the other');
    }),
    test('keeps snapshots, large ones too, and finds the newest before a position', async ({
      first,
      second,
    }, session) => {
      await begin(first, session);
      await first.append(session, 0, bytesOf(1, 9));
      const large = Uint8Array.from({ length: 3_000_000 }, (_, index) => index % 251);
      await first.putSnapshot(session, { position: 6, bytes: large });
      await second.putSnapshot(session, { position: 3, bytes: new Uint8Array([3]) });
      const newest = await second.snapshot(session);
      same(newest?.position, 6, 'the newest');
      holds(newest !== undefined && Buffer.compare(newest.bytes, large) === 0, 'the bytes of the newest');
      const positions = [];
      for (const atMost of [9, 6, 5, 3, 2, 0]) positions.push((await first.snapshot(session, atMost))?.position);
      same(positions, [6, 6, 3, 3, 0, 0], 'snapshots at or before 9, 6, 5, 3, 2, 0');
    }),
    test('compacts: what is before is gone, and appends go on', async ({ first, second }, session) => {
      await begin(first, session);
      await first.append(session, 0, bytesOf(1, 4));
      await first.append(session, 4, bytesOf(5, 4));
      await rejects('BUS_SNAPSHOT_MISSING', first.compact(session, 5));
      await first.putSnapshot(session, { position: 6, bytes: new Uint8Array([6]) });
      await first.compact(session, 6);
      same(await second.read(session, 6, 10), entriesOf(7, 2), 'the entries that are left');
      await rejects('BUS_COMPACTED', second.read(session, 3, 10));
      same((await second.snapshot(session))?.position, 6, 'the snapshot');
      same(await second.snapshot(session, 5), undefined, 'a snapshot before');
      same(await second.append(session, 8, bytesOf(9, 1)), { isAppended: true, last: 9 }, 'an append');
      await first.putSnapshot(session, { position: 9, bytes: new Uint8Array([9]) });
      await first.compact(session, 9);
      same(await first.last(session), 9, 'the last position of a log without entries');
      same(await second.append(session, 9, bytesOf(10, 1)), { isAppended: true, last: 10 }, 'an append');
      same(await first.read(session, 9, 10), entriesOf(10, 1), 'the entry');
    }),
    test('tells whoever watches, until they stop', async ({ first, second }, session) => {
      await begin(first, session);
      let told = 0;
      let wake = (): void => undefined;
      const stop = await second.watch(session, () => {
        told++;
        wake();
      });
      const woken = new Promise<void>((resolve) => {
        wake = resolve;
      });
      await first.append(session, 0, bytesOf(1, 1));
      await woken;
      await stop();
      const before = told;
      await first.append(session, 1, bytesOf(2, 1));
      same(await second.last(session), 2, 'the last position');
      same(told, before, 'calls after it stopped');
    }),
    test('says who is there, and forgets who says nothing more', async ({ first, second }, session) => {
      await first.announce(session, 'one', 'here', 60_000);
      await second.announce(session, 'two > *', '{"a":"ü"}', 60_000);
      await second.announce(session, 'gone', 'soon', 1);
      const expected = { one: 'here', 'two > *': '{"a":"ü"}' };
      await eventually(async () => same(Object.fromEntries(await first.members(session)), expected, 'who is there'));
      await first.announce(session, 'one', 'still', 60_000);
      await second.withdraw(session, 'two > *');
      same(Object.fromEntries(await second.members(session)), { one: 'still' }, 'who is there');
      same((await second.members(`${session} other`)).size, 0, 'who is elsewhere');
    }),
  ];
}

async function begin(bus: EventBus, session: string): Promise<void> {
  holds(await bus.begin(session, { position: 0, bytes: new Uint8Array([0]) }), 'it had begun');
}

function bytesOf(from: number, count: number): Uint8Array[] {
  return Array.from({ length: count }, (_, index) => new TextEncoder().encode(`entry ${from + index}`));
}

function entriesOf(from: number, count: number): BusEntry[] {
  return bytesOf(from, count).map((bytes, index) => ({ position: from + index, bytes }));
}

/** Tries until it holds; a broker forgets in its own time. */
async function eventually(check: () => Promise<void>): Promise<void> {
  for (let tries = 0; ; tries++) {
    try {
      await check();
      return;
    } catch (error) {
      if (tries >= 10_000) throw error;
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
}

function holds(isTrue: boolean, what: string): void {
  if (!isTrue) throw new Error(`the bus breaks its contract: ${what}`);
}

function same(got: unknown, wanted: unknown, what: string): void {
  const texts = [got, wanted].map((one) => JSON.stringify(plain(one)));
  holds(texts[0] === texts[1], `${what}: ${texts[0]}, not ${texts[1]}`);
}

/** With bytes as texts. */
function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString('base64');
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== 'object' || value === null) return value ?? null;
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, plain(one)]));
}

async function rejects(code: string, promise: Promise<unknown>): Promise<void> {
  const outcome = await promise.then(
    () => undefined,
    (error: unknown) => error,
  );
  holds(isSyncError(outcome, code), `${String(outcome)}, not ${code}`);
}
