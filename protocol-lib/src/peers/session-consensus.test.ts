import { expect, test } from 'vitest';
import type { Done, LogDisk } from '../events/index.ts';
import { joinBytes } from '../events/index.ts';
import { seededRandom } from '../ports/index.ts';
import { recordKey, replicaId } from '../state/index.ts';
import { coinSession } from '../sync/memory-link.test-helper.ts';
import { openSession, type SessionOptions } from './source-of-truth.ts';

/** A disk that is done when it is told so. */
class HeldDisk implements LogDisk {
  contents: Uint8Array = new Uint8Array();
  error: Error | undefined;
  readonly #due: (() => void)[] = [];

  append(bytes: Uint8Array): void {
    this.contents = joinBytes([this.contents, bytes]);
  }

  flush(done: Done): void {
    this.#due.push(() => done(this.error));
  }

  replace(bytes: Uint8Array, done: Done): void {
    this.contents = bytes;
    this.flush(done);
  }

  settle(): void {
    for (let next = this.#due.shift(); next; next = this.#due.shift()) next();
  }
}

function alone(disk: HeldDisk, failures: unknown[] = []) {
  const alice = replicaId('alice');
  const options: SessionOptions = {
    truth: 'peers',
    agreement: 'consensus',
    definition: coinSession,
    replica: alice,
    members: [alice],
    records: coinSession.initialRecords(seededRandom(1)),
    connect: () => {
      throw new Error('there is nobody else');
    },
    clock: { now: () => 0 },
    random: seededRandom(1),
    storage: { disk, contents: disk.contents },
    onStorageFailed: (error) => failures.push(error),
  };
  return openSession(options);
}

const ownerOf = (session: ReturnType<typeof alone>) => session.committed.get(recordKey('coin/1'))?.owner;

test('a member settles nothing before it is durable, and goes on from its log', () => {
  const disk = new HeldDisk();
  const session = alone(disk);
  expect(session.mutate('take', { coin: '1' })).toEqual({ rejected: 'there is no state yet' });
  disk.settle();
  const made = session.mutate('take', { coin: '1' });
  if ('rejected' in made) throw new Error(made.rejected);
  expect(session.outcome(made.mutation)).toEqual({ state: 'pending' });
  expect(ownerOf(session)).toBe(null);
  disk.settle();
  expect(session.outcome(made.mutation)).toEqual({ state: 'settled' });
  session.close('restart');
  const after = alone(disk);
  disk.settle();
  expect(ownerOf(after)).toBe('alice');
});

test('a member whose disk refuses says so, and does nothing more', () => {
  const disk = new HeldDisk();
  const failures: unknown[] = [];
  const session = alone(disk, failures);
  disk.settle();
  disk.error = new Error('disk full');
  const made = session.mutate('take', { coin: '1' });
  if ('rejected' in made) throw new Error(made.rejected);
  disk.settle();
  session.tick();
  session.tick();
  expect(failures).toMatchObject([{ code: 'LOG_FAILED' }]);
  expect(session.outcome(made.mutation)).toEqual({ state: 'pending' });
  expect(session.health.progress).toBe('disconnected');
  expect(session.mutate('take', { coin: '2' })).toEqual({ rejected: 'the storage of this peer has failed' });
});
