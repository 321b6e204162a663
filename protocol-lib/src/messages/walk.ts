/** Where a msgpack value lies in a frame, and what lies in it. Offsets and lengths in bytes, header included. */
export type MsgpackNode = { readonly offset: number; readonly length: number } & (
  | { readonly kind: 'scalar' }
  | { readonly kind: 'array'; readonly items: readonly MsgpackNode[] }
  | { readonly kind: 'map'; readonly names: readonly MsgpackNode[]; readonly items: readonly MsgpackNode[] }
);

export function nodeEnd(node: MsgpackNode): number {
  return node.offset + node.length;
}

/** The layout of the one value in `bytes`, which `checkMsgpack` must have passed. */
export function walkMsgpack(bytes: Uint8Array, offset = 0): MsgpackNode {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return walk(view, offset);
}

function walk(view: DataView, offset: number): MsgpackNode {
  const tag = view.getUint8(offset);
  if (tag < 0x80 || tag >= 0xe0) return scalar(offset, 1);
  if (tag < 0x90) return map(view, offset, 1, tag & 0x0f);
  if (tag < 0xa0) return array(view, offset, 1, tag & 0x0f);
  if (tag < 0xc0) return scalar(offset, 1 + (tag & 0x1f));
  switch (tag) {
    case 0xc4:
    case 0xd9:
      return scalar(offset, 2 + view.getUint8(offset + 1));
    case 0xc5:
    case 0xda:
      return scalar(offset, 3 + view.getUint16(offset + 1));
    case 0xc6:
    case 0xdb:
      return scalar(offset, 5 + view.getUint32(offset + 1));
    case 0xcc:
    case 0xd0:
      return scalar(offset, 2);
    case 0xcd:
    case 0xd1:
      return scalar(offset, 3);
    case 0xca:
    case 0xce:
    case 0xd2:
      return scalar(offset, 5);
    case 0xcb:
    case 0xcf:
    case 0xd3:
      return scalar(offset, 9);
    case 0xdc:
      return array(view, offset, 3, view.getUint16(offset + 1));
    case 0xdd:
      return array(view, offset, 5, view.getUint32(offset + 1));
    case 0xde:
      return map(view, offset, 3, view.getUint16(offset + 1));
    case 0xdf:
      return map(view, offset, 5, view.getUint32(offset + 1));
    default:
      // nil, true and false; all else was refused before.
      return scalar(offset, 1);
  }
}

function scalar(offset: number, length: number): MsgpackNode {
  return { kind: 'scalar', offset, length };
}

function array(view: DataView, offset: number, header: number, count: number): MsgpackNode {
  const items: MsgpackNode[] = [];
  let at = offset + header;
  for (let index = 0; index < count; index++) {
    const item = walk(view, at);
    items.push(item);
    at = nodeEnd(item);
  }
  return { kind: 'array', offset, length: at - offset, items };
}

function map(view: DataView, offset: number, header: number, count: number): MsgpackNode {
  const names: MsgpackNode[] = [];
  const items: MsgpackNode[] = [];
  let at = offset + header;
  for (let index = 0; index < count; index++) {
    const name = walk(view, at);
    const item = walk(view, nodeEnd(name));
    names.push(name);
    items.push(item);
    at = nodeEnd(item);
  }
  return { kind: 'map', offset, length: at - offset, names, items };
}
