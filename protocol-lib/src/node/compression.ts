import { constants, zstdCompressSync } from 'node:zlib';
import type { Compression } from '../capture/index.ts';

/** zstd as Node has it built in, at its fastest usual level: captures are written while the app runs. */
export const zstdCompression: Compression = {
  name: 'zstd',
  compress: (bytes) => zstdCompressSync(bytes, { params: { [constants.ZSTD_c_compressionLevel]: 1 } }),
};
