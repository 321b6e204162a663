export { canonicalBytes, hashKeyed, isCanonical } from './canonical.ts';
export { checkMsgpack, MSGPACK_LIMITS, type MsgpackLimits } from './check.ts';
export * from './hash.ts';
export * from './hex.ts';
export { packMsgpack, textAt, unpackMsgpack } from './msgpack.ts';
export { CompactReader, CompactWriter } from './varint.ts';
export {
  beginWriting,
  compareUtf8,
  MAP_MAX_FIELDS,
  VALUE_MAX_DEPTH,
  writeArrayHeader,
  writeEncoded,
  writeNumber,
  writeText,
  writeValue,
  writeWords,
  writtenInSlab,
  writtenLength,
} from './writer.ts';
