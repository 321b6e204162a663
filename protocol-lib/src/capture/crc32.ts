/** Sixteen tables for CRC-32 (IEEE 802.3, reflected), so that sixteen bytes are taken at a time. */
function buildTables(): Int32Array[] {
  const first = new Int32Array(256);
  for (let byte = 0; byte < 256; byte++) {
    let remainder = byte;
    for (let bit = 0; bit < 8; bit++) remainder = remainder & 1 ? (remainder >>> 1) ^ 0xedb88320 : remainder >>> 1;
    first[byte] = remainder;
  }
  const tables = [first];
  for (let index = 1; index < 16; index++) {
    const before = tables[index - 1]!;
    tables.push(Int32Array.from(before, (remainder) => (remainder >>> 8) ^ first[remainder & 0xff]!));
  }
  return tables;
}

type Table = Int32Array;
const [T0, T1, T2, T3, T4, T5, T6, T7, T8, T9, T10, T11, T12, T13, T14, T15] = buildTables() as [
  ...[Table, Table, Table, Table, Table, Table, Table, Table],
  ...[Table, Table, Table, Table, Table, Table, Table, Table],
];

/** Bytes for which words are not worth it. */
const SHORT = 32;
/** Words are read as the machine has them; where that is the other way round, byte for byte. */
const isLittleEndian = new Uint8Array(Int32Array.of(1).buffer)[0] === 1;

/** CRC-32 of `bytes`; pass the CRC of what came before to continue it. */
export function crc32(bytes: Uint8Array, before = 0): number {
  if (bytes.length < SHORT || !isLittleEndian) return ~byteByByte(bytes, 0, bytes.length, ~before) >>> 0;
  const unaligned = Math.min(bytes.length, -bytes.byteOffset & 3);
  let crc = byteByByte(bytes, 0, unaligned, ~before);
  const words = new Int32Array(bytes.buffer, bytes.byteOffset + unaligned, (bytes.length - unaligned) >> 2);
  let at = 0;
  for (const last = words.length - 4; at <= last; at += 4) {
    const a = words[at]! ^ crc;
    const b = words[at + 1]!;
    const c = words[at + 2]!;
    const d = words[at + 3]!;
    crc =
      T15[a & 0xff]! ^
      T14[(a >>> 8) & 0xff]! ^
      T13[(a >>> 16) & 0xff]! ^
      T12[a >>> 24]! ^
      T11[b & 0xff]! ^
      T10[(b >>> 8) & 0xff]! ^
      T9[(b >>> 16) & 0xff]! ^
      T8[b >>> 24]! ^
      T7[c & 0xff]! ^
      T6[(c >>> 8) & 0xff]! ^
      T5[(c >>> 16) & 0xff]! ^
      T4[c >>> 24]! ^
      T3[d & 0xff]! ^
      T2[(d >>> 8) & 0xff]! ^
      T1[(d >>> 16) & 0xff]! ^
      T0[d >>> 24]!;
  }
  return ~byteByByte(bytes, unaligned + at * 4, bytes.length, crc) >>> 0;
}

function byteByByte(bytes: Uint8Array, from: number, to: number, before: number): number {
  let crc = before;
  for (let index = from; index < to; index++) crc = T0[(crc ^ bytes[index]!) & 0xff]! ^ (crc >>> 8);
  return crc;
}

export function hex8(value: number): string {
  return hex4(value >>> 16) + hex4(value & 0xffff);
}

/** Small numbers are turned into text many times as fast as those beyond 31 bits. */
function hex4(value: number): string {
  return (value | 0x1_0000).toString(16).slice(1);
}
