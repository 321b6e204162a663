import { Opcode } from '@mcap/core';
import { decompressChunk, portableZstd } from '../compression.ts';
import { eachRecord, parseAttachment, parseChunkHead } from '../mcap-parse.ts';

/** All that a file holds, unpacked: chunks, attachments with each page and blob in them, and all around. */
export function unpacked(file: Uint8Array): Buffer {
  const parts: Uint8Array[] = [file];
  eachRecord(file.subarray(8), (opcode, content) => {
    if (opcode === Opcode.CHUNK) {
      const { compression, dataOffset, dataLength, uncompressedSize } = parseChunkHead(content);
      const data = content.subarray(dataOffset, dataOffset + dataLength);
      parts.push(decompressChunk(data, compression, uncompressedSize, 0, portableZstd));
    } else if (opcode === Opcode.ATTACHMENT) parts.push(...frames(parseAttachment(content)!.data));
  });
  return Buffer.concat(parts);
}

/** Whatever is packed in bytes: u8 1, u32 size and one zstd frame each, which ends where the next begins. */
function frames(data: Uint8Array): Uint8Array[] {
  const bytes = Buffer.from(data);
  const magic = Buffer.from([0x28, 0xb5, 0x2f, 0xfd]);
  const starts: number[] = [];
  for (let at = bytes.indexOf(magic, 5); at >= 0; at = bytes.indexOf(magic, at + 1)) {
    if (bytes[at - 5] === 1) starts.push(at);
  }
  return starts.flatMap((start, at) => {
    const size = bytes.readUInt32LE(start - 4);
    for (let end = (starts[at + 1] ?? bytes.length + 5) - 5; end > start; end--) {
      try {
        return [decompressChunk(bytes.subarray(start, end), 'zstd', size, 0, portableZstd)];
      } catch {
        // A page that is not packed lies behind this one.
      }
    }
    throw new Error(`nothing can be unpacked at ${start}`);
  });
}

/** The ways in which a text of ten bytes or more may stand among bytes. */
export function waysOf(text: string): string[] {
  const bytes = Buffer.from(text);
  const base64 = [0, 1, 2].map((shift) =>
    Buffer.concat([Buffer.alloc(shift), bytes])
      .toString('base64')
      .slice(4, -4),
  );
  return [text, text.toUpperCase(), bytes.toString('hex'), bytes.toString('utf16le'), ...base64];
}

/** Whether a text stands among bytes, in any of those ways. */
export function isIn(haystack: Buffer, text: string): boolean {
  return waysOf(text).some((way) => haystack.includes(Buffer.from(way)));
}
