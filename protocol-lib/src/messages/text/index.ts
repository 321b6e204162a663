export { changeLines, recordLine } from './change-lines.ts';
export { decodeText, TextCodec, type TextCodecOptions } from './codec.ts';
export { type DocumentWorld, documentHash, documentWorld, documentWorldHash } from './document-hash.ts';
export { type FormatOptions, formatBody, formatMessage, textKeyword } from './format.ts';
export { parseJson, writeJson } from './json.ts';
export { TEXT_LIMITS, type TextLimits } from './limits.ts';
export { type ParseOptions, parseBody, parseMessage } from './parse.ts';
