export {
  BinaryCodec,
  decodeMessage,
  type EncodedFrame,
  FrameDecoder,
  FrameEncoder,
  HEAD_LENGTH,
  messageLayout,
} from './codec.ts';
export * from './consensus.ts';
export { describeFrame, type FrameField } from './describe.ts';
export * from './diffsync.ts';
export { schemaFingerprint, schemaText } from './fingerprint.ts';
export * from './handshake.ts';
export { type MaskedFrame, maskedFrame, SECRET_MESSAGES } from './mask.ts';
export * from './merkle.ts';
export * from './message.ts';
export * from './mutation.ts';
export * from './names.ts';
export * from './offline.ts';
export * from './protocol.ts';
export * from './replication.ts';
export * from './text/index.ts';
