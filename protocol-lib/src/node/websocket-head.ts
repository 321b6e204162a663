const FINAL_BINARY = 0x82;
const SHORT_MAX = 125;
const MEDIUM = 126;
const MEDIUM_MAX = 0xffff;
const LONG = 127;

/** What stands before `length` bytes that a server sends as one message (RFC 6455, 5.2): whole, binary, unmasked. */
export function messageHead(length: number): Uint8Array {
  if (length <= SHORT_MAX) return Uint8Array.of(FINAL_BINARY, length);
  const isMedium = length <= MEDIUM_MAX;
  const head = new Uint8Array(isMedium ? 4 : 10);
  const view = new DataView(head.buffer);
  head[0] = FINAL_BINARY;
  head[1] = isMedium ? MEDIUM : LONG;
  if (isMedium) view.setUint16(2, length);
  else view.setBigUint64(2, BigInt(length));
  return head;
}
