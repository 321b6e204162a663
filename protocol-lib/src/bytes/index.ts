export { canonicalBytes, isCanonical, isPlainMap, ownCopy } from './canonical.ts';
export { checkMsgpack, MSGPACK_LIMITS, type MsgpackLimits } from './check.ts';
export { fastHasher, type Hasher, type HashWords, hashBytes, hashText, wordsToHex } from './hash.ts';
export * from './hex.ts';
export { hmacSha256, sha256 } from './hmac.ts';
export { packMsgpack, textAt, unpackMsgpack, ValueReader } from './msgpack.ts';
export { hashPatch, hashRecord } from './record-hash.ts';
export { CompactReader, CompactWriter } from './varint.ts';
export {
  beginBytes,
  beginLongBytes,
  beginWriting,
  compareUtf8,
  copyWritten,
  endBytes,
  endLongBytes,
  MAP_MAX_FIELDS,
  rewriteByte,
  unwriteFrom,
  VALUE_MAX_DEPTH,
  writeArrayHeader,
  writeBytes,
  writeCountedText,
  writeEncoded,
  writeInt,
  writeInts,
  writeMapHeader,
  writeNumber,
  writeShort,
  writeSmallUints,
  writeText,
  writeUint,
  writeValue,
  writeWords,
  writtenBytes,
  writtenFrom,
  writtenInSlab,
  writtenLength,
} from './writer.ts';
