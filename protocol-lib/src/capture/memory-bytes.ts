import { SyncError } from '../errors/index.ts';
import type { ByteSink, ByteSource } from '../ports/index.ts';
import { join } from './mcap-framing.ts';

/** Bytes at hand as a source, such as a dropped file's or a test's. */
export function memorySource(bytes: Uint8Array): ByteSource {
  return {
    size: () => Promise.resolve(bytes.length),
    read(offset, length) {
      if (offset + length > bytes.length) {
        return Promise.reject(
          new SyncError('SOURCE_TOO_SHORT', `${length} bytes from offset ${offset} of only ${bytes.length}`, {
            origin: 'capture',
            place: { offset },
          }),
        );
      }
      return Promise.resolve(bytes.subarray(offset, offset + length));
    },
    readNow: (offset, length) => bytes.subarray(offset, offset + length),
  };
}

/** A sink that keeps what it is given, as it is: who writes into it must not change those bytes afterwards. */
export function memorySink(): ByteSink & { bytes(): Uint8Array } {
  let parts: Uint8Array[] = [];
  return {
    write(bytes) {
      parts.push(bytes);
    },
    flush() {},
    close() {},
    async rewrite(write) {
      let other: ReturnType<typeof memorySink> | undefined;
      await write(memorySource(join(parts)), async () => {
        other ??= memorySink();
        return other;
      });
      if (other) parts = [other.bytes()];
    },
    bytes: () => join(parts),
  };
}
