import { SyncError } from '../errors/index.ts';

/** Bytes as lower-case hex digits, two a byte. */
export function toHex(bytes: Uint8Array): string {
  let text = '';
  for (let index = 0; index < bytes.length; index++) text += bytes[index]!.toString(16).padStart(2, '0');
  return text;
}

/** @throws SyncError `HEX_INVALID` where `text` is not pairs of hex digits. */
export function fromHex(text: string): Uint8Array {
  if (text.length % 2 !== 0 || !/^[0-9a-fA-F]*$/.test(text)) {
    throw new SyncError('HEX_INVALID', `${JSON.stringify(text.slice(0, 40))} is not pairs of hex digits`, {
      origin: 'bytes',
    });
  }
  const bytes = new Uint8Array(text.length / 2);
  for (let index = 0; index < bytes.length; index++) {
    bytes[index] = Number.parseInt(text.slice(index * 2, index * 2 + 2), 16);
  }
  return bytes;
}
