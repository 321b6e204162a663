import { realpath } from 'node:fs/promises';
import { SyncError } from '@syncscope/protocol/errors';
import { wholeFile } from '@syncscope/protocol/node';

/**
 * Nothing of what is read is written to.
 * @throws SyncError `OUTPUT_IS_INPUT`
 */
export async function refuseInput(output: string, inputs: readonly string[]): Promise<void> {
  const there = await realpath(output).catch(() => undefined);
  if (there === undefined) return;
  for (const input of inputs) {
    if ((await realpath(input).catch(() => undefined)) !== there) continue;
    throw new SyncError('OUTPUT_IS_INPUT', `${output} is what is being read; write to another file`, {
      origin: 'setting',
      place: { file: output },
    });
  }
}

/** Writes bytes to a file, whole or not at all. @throws SyncError as `wholeFile` */
export function writeWhole(path: string, bytes: Uint8Array): Promise<void> {
  return wholeFile(path, async (sink) => {
    try {
      await sink.write(bytes);
    } finally {
      await sink.close();
    }
  });
}
