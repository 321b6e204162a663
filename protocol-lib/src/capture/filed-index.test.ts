import { describe, expect, test } from 'vitest';
import { isSyncError } from '../errors/index.ts';
import { zstdCompression } from '../node/compression.ts';
import type { ByteSource } from '../ports/index.ts';
import { noCompression } from './compression.ts';
import type { OpenCapture } from './engine.ts';
import { memorySource } from './memory-bytes.ts';
import type { MemoryRecording } from './memory-session.test-helper.ts';
import { openCapture } from './reader.ts';
import { coinRecording, fileOf } from './testing.test-helper.ts';

const everything = { from: 0, to: Number.MAX_SAFE_INTEGER };

/** Without the way to read at once, as a source of a network. */
function slowSource(bytes: Uint8Array): ByteSource {
  const { size, read } = memorySource(bytes);
  return { size, read };
}

/** Bytes of the file, and whether each may be read: to see what opening reads. */
function countingSource(bytes: Uint8Array): { source: ByteSource; read(): number } {
  let count = 0;
  const inner = memorySource(bytes);
  const source: ByteSource = {
    size: inner.size,
    read(offset, length) {
      count += length;
      return inner.read(offset, length);
    },
    readNow(offset, length) {
      count += length;
      return bytes.subarray(offset, offset + length);
    },
  };
  return { source, read: () => count };
}

/** Answers over a whole capture, for holding two ways of opening it against each other. */
async function answers(capture: OpenCapture, step: number): Promise<unknown[]> {
  const info = await capture.info();
  const { from, to } = info.range;
  const all: unknown[] = [
    info,
    await capture.overview(everything, 50),
    await capture.overview({ from: from + (to - from) / 3, to }, 7),
    await capture.lanes({ from, to }, 40, 100),
    await capture.lanes({ from: (from + to) / 2, to: (from + to) / 2 + 1e9 }, 40, 1e6),
    await capture.markers(everything, 1_000),
    await capture.rows('', 0, 50),
    await capture.rows('kind:apply severity:none', 3, 50),
  ];
  for (let position = 0; position < info.records; position += step) {
    all.push(await capture.record(position), await capture.status(position), await capture.related(position));
    all.push(await capture.vectors(position), await capture.nextMarker(position, 1), await capture.explain(position));
    all.push(await capture.positionAt(from + ((to - from) * position) / info.records));
    for (const { id } of info.replicas) all.push(await capture.state(id, position, '', 100));
  }
  return all;
}

function opened(bytes: Uint8Array, index: 'always' | 'never'): Promise<OpenCapture> {
  return openCapture(memorySource(bytes), { index });
}

const long: MemoryRecording = coinRecording('corrupt', { length: 60_000 });

describe('a capture that is opened by its index', () => {
  test.each([noCompression, zstdCompression])(
    'answers what one does whose index is made again: %o',
    async (compression) => {
      const bytes = await fileOf(long, { compression });
      expect(long.records.length).toBeGreaterThan(8_192);
      const byIndex = await answers(await opened(bytes, 'always'), 911);
      const byScan = await answers(await opened(bytes, 'never'), 911);
      expect(byIndex).toEqual(byScan);
    },
  );

  test('from a source that cannot be read at once too', async () => {
    const bytes = await fileOf(long);
    const slow = await openCapture(slowSource(bytes), { index: 'always' });
    expect(await answers(slow, 4_001)).toEqual(await answers(await opened(bytes, 'never'), 4_001));
  });

  test.each(['drop-delta', 'flip', 'repeat-delta'] as const)(
    'with what was lost, repeated or late: %s',
    async (fault) => {
      const bytes = await fileOf(coinRecording(fault));
      expect(await answers(await opened(bytes, 'always'), 97)).toEqual(await answers(await opened(bytes, 'never'), 97));
    },
  );

  test('reads a small part of the file', async () => {
    const bytes = await fileOf(long);
    const { source, read } = countingSource(bytes);
    const capture = await openCapture(source, { index: 'always' });
    await capture.overview(everything, 100);
    // A window of a MiB stands at the file's front; what is beyond it is little.
    expect(read() - Math.min(bytes.length, 1024 * 1024)).toBeLessThan(bytes.length / 4);
  });

  test('without an index is read whole', async () => {
    const bytes = await fileOf(long, { hasIndex: false });
    const capture = await opened(bytes, 'always');
    expect(await answers(capture, 4_001)).toEqual(
      await answers(await opened(await fileOf(long), 'never'), 4_001).then((all) => withSize(all, bytes.length)),
    );
  });
});

function withSize(all: unknown[], size: number): unknown[] {
  return [{ ...(all[0] as object), size }, ...all.slice(1)];
}

/** Every answer of a damaged file: right, or an error by name, or told as damage. */
async function isHonest(bytes: Uint8Array, whole: readonly unknown[], step: number): Promise<string | undefined> {
  try {
    const capture = await openCapture(memorySource(bytes), { index: 'always' });
    const all = await answers(capture, step);
    const { cut } = await capture.info();
    if (cut) return undefined;
    return JSON.stringify(all) === JSON.stringify(whole) ? undefined : 'another answer, and no word of damage';
  } catch (error) {
    if (isSyncError(error)) return undefined;
    return error instanceof Error ? (error.stack ?? error.message) : String(error);
  }
}

describe('a file with an index that is damaged', () => {
  const small = coinRecording(undefined, { length: 700 });

  test('in one bit anywhere, answers the same, or says so', async () => {
    const bytes = await fileOf(small);
    const whole = await answers(await opened(bytes, 'never'), 37);
    const wrong: string[] = [];
    // A part of the bytes, each in another bit; `file.test.ts` has them all, of a smaller one.
    for (let at = 0; at < bytes.length; at += 41) {
      const flipped = bytes.slice();
      flipped[at]! ^= 1 << (at % 8);
      const failure = await isHonest(flipped, whole, 37);
      if (failure) wrong.push(`byte ${at}: ${failure}`);
    }
    expect(wrong).toEqual([]);
  });
});
