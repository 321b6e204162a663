import type { Random } from '../ports/index.ts';
import { recordKey, type Value } from '../state/index.ts';
import type { StateView } from '../sync/index.ts';
import { coinSession } from '../sync/memory-link.test-helper.ts';
import { memorySink } from './memory-bytes.ts';
import { type MemoryFault, type MemoryRecording, recordMemorySession } from './memory-session.test-helper.ts';
import { CaptureWriter, type CaptureWriterOptions } from './writer.ts';

/** A short session over coins with predictions, refusals and whatever fault is asked for. */
export function coinRecording(
  fault?: MemoryFault['kind'],
  options: { seed?: number; length?: number } = {},
): MemoryRecording {
  return recordMemorySession({
    definition: coinSession,
    seed: options.seed ?? 7,
    bots: 3,
    length: options.length ?? 6_000,
    play: (_replica, random) => player(random),
    ...(fault === undefined
      ? {}
      : {
          fault: {
            kind: fault,
            target: 'bot-2',
            at: 2_500,
            choose: () => ({
              op: 'patch',
              key: recordKey('coin/39'),
              fields: { worth: 1_000 },
              removed: [],
            }),
          },
        }),
  });
}

function player(random: Random) {
  return {
    pause: () => 100 + random.next() * 300,
    think(view: StateView): { command: string; args: Value } {
      const dice = random.next();
      if (dice < 0.1) return { command: 'unlock', args: null };
      if (dice < 0.3) return { command: 'note', args: { id: Math.floor(random.next() * 8), text: `${dice}` } };
      if (dice < 0.4) return { command: 'erase', args: { id: Math.floor(random.next() * 8) } };
      const coin = Math.floor(random.next() * 30);
      const isFree = view.get(recordKey(`coin/${coin}`))?.owner === null;
      return { command: isFree ? 'take' : 'drop', args: { coin } };
    },
  };
}

export async function fileOf(recording: MemoryRecording, options: CaptureWriterOptions = {}): Promise<Uint8Array> {
  const sink = memorySink();
  const writer = new CaptureWriter(sink, recording.header, options);
  for (const record of recording.encoded) writer.append(record);
  await writer.end();
  return sink.bytes();
}
