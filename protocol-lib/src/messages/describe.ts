import { checkMsgpack, toHex, unpackMsgpack } from '../bytes/index.ts';
import { vectorEntriesSchema } from '../clock/index.ts';
import type { Schema } from '../schema/index.ts';
import { stateHashSchema } from '../state/index.ts';
import { HEAD_LENGTH, messageLayout } from './codec.ts';
import { type MessageType, messageType } from './message.ts';
import type { NameSource, NameTables } from './names.ts';
import { changesSchema, entriesSchema, rejectionsSchema } from './replication.ts';
import { type MsgpackNode, nodeEnd, walkMsgpack } from './walk.ts';
import { WIRE_OP } from './wire-write.ts';

/** A part of a frame: what it is called, what it says, and which bytes say it. */
export interface FrameField {
  readonly name: string;
  readonly text: string;
  readonly offset: number;
  readonly length: number;
  readonly children: readonly FrameField[];
}

const TEXT_MAX_LENGTH = 200;

/**
 * A frame taken apart, with the bytes of every part. More forgiving than decoding: what does not fit the schema of its
 * message is shown as it is.
 * @throws SyncError of `checkMsgpack` where the frame is not msgpack
 */
export function describeFrame(frame: Uint8Array, tables: NameTables): FrameField {
  checkMsgpack(frame);
  const root = walkMsgpack(frame);
  if (root.kind !== 'array') return plain('frame', root, frame);
  const id = root.items[0] && scalar(root.items[0], frame);
  const type = messageType(id);
  const sender = root.items[1] && scalar(root.items[1], frame);
  const view: View = { frame, names: tables.of(typeof sender === 'string' ? sender : '') };
  const children = root.items.map((item, index) => describeElement(item, index, type, view));
  const name = type ?? 'unknown message';
  const text = children.slice(1).map(({ name: part, text: says }) => `${part} ${says}`);
  return { name, text: short(text.join(' · ')), offset: root.offset, length: root.length, children };
}

interface View {
  readonly frame: Uint8Array;
  readonly names: NameSource;
}

function describeElement(item: MsgpackNode, index: number, type: MessageType | undefined, view: View): FrameField {
  if (index === 0) return { ...plain('type', item, view.frame), text: type ?? text(item, view.frame) };
  if (index < HEAD_LENGTH) return plain(index === 1 ? 'sender' : 'sequence', item, view.frame);
  const field = type && messageLayout(type)[index - HEAD_LENGTH];
  if (!field) return plain(`element ${index}`, item, view.frame);
  const describer = describers.get(field.schema);
  return describer ? describer(field.name, item, view) : plain(field.name, item, view.frame);
}

type Describer = (name: string, node: MsgpackNode, view: View) => FrameField;

const describers = new Map<Schema<unknown>, Describer>([
  [changesSchema, (name, node, view) => listOf(name, node, view, 'run', describeRun)],
  [entriesSchema, (name, node, view) => listOf(name, node, view, 'run', describeSnapshotRun)],
  [vectorEntriesSchema, (name, node, view) => listOf(name, node, view, 'entry', describeVectorEntry)],
  [rejectionsSchema, (name, node, view) => listOf(name, node, view, 'rejection', describeRejection)],
  [stateHashSchema, describeHash],
]);

type ItemDescriber = (items: readonly MsgpackNode[], node: MsgpackNode, view: View) => FrameField;

function listOf(name: string, node: MsgpackNode, view: View, noun: string, describeItem: ItemDescriber): FrameField {
  if (node.kind !== 'array') return plain(name, node, view.frame);
  const children = node.items.map((item) =>
    item.kind === 'array' ? describeItem(item.items, item, view) : plain(noun, item, view.frame),
  );
  return part(name, counted(children.length, noun), node, children);
}

function counted(count: number, noun: string): string {
  if (count === 1) return `1 ${noun}`;
  return `${count} ${noun.endsWith('y') ? `${noun.slice(0, -1)}ies` : `${noun}s`}`;
}

const OPS: ReadonlyMap<unknown, string> = new Map([
  [WIRE_OP.put, 'put'],
  [WIRE_OP.patch, 'patch'],
  [WIRE_OP.patchAndRemove, 'patch and remove'],
  [WIRE_OP.remove, 'remove'],
]);

/** A run of changes of one shape: operation, field names, then each key with its values. */
function describeRun(items: readonly MsgpackNode[], node: MsgpackNode, view: View): FrameField {
  const [op] = items;
  const code = op && scalar(op, view.frame);
  const opName = OPS.get(code);
  if (!op || opName === undefined) return plain('run', node, view.frame);
  const head = [part('op', opName, op, [])];
  if (code === WIRE_OP.remove) {
    const keys = items.slice(1).map((key) => nameField('key', key, view));
    return part(`${opName} ${counted(keys.length, 'record')}`, listing(keys), node, [...head, ...keys]);
  }
  const start = code === WIRE_OP.patchAndRemove ? 3 : 2;
  return describeShaped(opName, items, start, node, head, view);
}

function describeSnapshotRun(items: readonly MsgpackNode[], node: MsgpackNode, view: View): FrameField {
  return describeShaped('', items, 1, node, [], view);
}

/** What comes before `start` are lists of field names; the last before it that of the removed ones where there are two. */
function describeShaped(
  verb: string,
  items: readonly MsgpackNode[],
  start: number,
  node: MsgpackNode,
  head: readonly FrameField[],
  view: View,
): FrameField {
  const [fields, removed] = items.slice(head.length, start);
  if (fields?.kind !== 'array') return plain('run', node, view.frame);
  const lists = [namesField('fields', fields, view), ...(removed ? [namesField('removed', removed, view)] : [])];
  const records: FrameField[] = [];
  const stride = fields.items.length + 1;
  for (let at = start; at + stride <= items.length; at += stride) {
    records.push(describeRecord(items.slice(at, at + stride), fields.items, view));
  }
  const name = `${verb} ${counted(records.length, 'record')}`.trim();
  return part(name, listing(records), node, [...head, ...lists, ...records]);
}

function describeRecord(items: readonly MsgpackNode[], fields: readonly MsgpackNode[], view: View): FrameField {
  const [key, ...values] = items as [MsgpackNode, ...MsgpackNode[]];
  const children = values.map((value, index) => plain(nameText(fields[index]!, view), value, view.frame));
  const last = values.at(-1) ?? key;
  return {
    name: nameText(key, view),
    text: short(children.map((field) => `${field.name}=${field.text}`).join(', ')),
    offset: key.offset,
    length: nodeEnd(last) - key.offset,
    children: [nameField('key', key, view), ...children],
  };
}

function namesField(name: string, node: MsgpackNode, view: View): FrameField {
  if (node.kind !== 'array') return plain(name, node, view.frame);
  const children = node.items.map((item) => nameField('field', item, view));
  return part(name, short(node.items.map((item) => nameText(item, view)).join(', ')), node, children);
}

function listing(fields: readonly FrameField[]): string {
  return short(fields.map((field) => (field.name === 'key' ? field.text : field.name)).join(', '));
}

function describeVectorEntry(items: readonly MsgpackNode[], node: MsgpackNode, view: View): FrameField {
  const [replica, counter] = items;
  if (!replica || !counter) return plain('entry', node, view.frame);
  const children = [nameField('replica', replica, view), plain('counter', counter, view.frame)];
  return part(nameText(replica, view), text(counter, view.frame), node, children);
}

function describeRejection(items: readonly MsgpackNode[], node: MsgpackNode, view: View): FrameField {
  const [replica, counter, reason] = items;
  if (!replica || !counter || !reason) return plain('rejection', node, view.frame);
  const children = [
    nameField('replica', replica, view),
    plain('counter', counter, view.frame),
    plain('reason', reason, view.frame),
  ];
  return part(`${nameText(replica, view)} ${text(counter, view.frame)}`, text(reason, view.frame), node, children);
}

function describeHash(name: string, node: MsgpackNode, view: View): FrameField {
  const value = scalar(node, view.frame);
  return value instanceof Uint8Array ? part(name, toHex(value), node, []) : plain(name, node, view.frame);
}

function nameField(what: string, node: MsgpackNode, view: View): FrameField {
  const value = scalar(node, view.frame);
  return part(what, typeof value === 'number' ? `#${value} ${nameText(node, view)}` : text(node, view.frame), node, []);
}

/** The name that a reference stands for; names written out are themselves. */
function nameText(node: MsgpackNode, view: View): string {
  const value = scalar(node, view.frame);
  if (typeof value === 'string') return short(value);
  if (typeof value !== 'number') return text(node, view.frame);
  return view.names.nameAt(value) ?? `name ${value} (unknown)`;
}

/** A value as it lies there, with its items. */
function plain(name: string, node: MsgpackNode, frame: Uint8Array): FrameField {
  switch (node.kind) {
    case 'array':
      return part(
        name,
        text(node, frame),
        node,
        node.items.map((item, index) => plain(`${index}`, item, frame)),
      );
    case 'map':
      return part(
        name,
        text(node, frame),
        node,
        node.names.map((field, index) => plain(String(scalar(field, frame)), node.items[index]!, frame)),
      );
    case 'scalar':
      return part(name, text(node, frame), node, []);
  }
}

function part(name: string, says: string, node: MsgpackNode, children: readonly FrameField[]): FrameField {
  return { name: short(name), text: says, offset: node.offset, length: node.length, children };
}

function scalar(node: MsgpackNode, frame: Uint8Array): unknown {
  return node.kind === 'scalar' ? unpackMsgpack(frame.subarray(node.offset, nodeEnd(node))) : undefined;
}

function text(node: MsgpackNode, frame: Uint8Array): string {
  if (node.kind === 'array') return `${node.items.length} items`;
  if (node.kind === 'map') return `${node.items.length} fields`;
  const value = scalar(node, frame);
  if (value instanceof Uint8Array) return `${value.length} bytes ${short(toHex(value.subarray(0, 64)))}`;
  if (Object.is(value, -0)) return '-0';
  return short(typeof value === 'number' ? String(value) : JSON.stringify(value));
}

function short(line: string): string {
  return line.length > TEXT_MAX_LENGTH ? `${line.slice(0, TEXT_MAX_LENGTH - 1)}…` : line;
}
