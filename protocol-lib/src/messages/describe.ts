import { checkMsgpack, toHex, unpackMsgpack } from '../bytes/index.ts';
import { vectorEntriesSchema } from '../clock/index.ts';
import { isSyncError } from '../errors/index.ts';
import type { Schema } from '../schema/index.ts';
import { stateHashSchema } from '../state/index.ts';
import { HEAD_LENGTH, messageLayout } from './codec.ts';
import { type NamePart, type Part, type RowPart, type RunPart, readRuns, readVector, WIRE_OP } from './compact.ts';
import { type MessageType, messageType } from './message.ts';
import type { NameSource, NameTables } from './names.ts';
import { changesSchema, entriesSchema, rejectionsSchema } from './replication.ts';
import { type MsgpackNode, nodeEnd, walkMsgpack } from './walk.ts';

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
  const children = root.items.map((item, index) => describeElement(item, index, type, root.items, view));
  const name = type ?? 'unknown message';
  const text = children.slice(1).map(({ name: part, text: says }) => `${part} ${says}`);
  return { name, text: short(text.join(' · ')), offset: root.offset, length: root.length, children };
}

interface View {
  readonly frame: Uint8Array;
  readonly names: NameSource;
}

function describeElement(
  item: MsgpackNode,
  index: number,
  type: MessageType | undefined,
  items: readonly MsgpackNode[],
  view: View,
): FrameField {
  if (index === 0) return { ...plain('type', item, view.frame), text: type ?? text(item, view.frame) };
  if (index < HEAD_LENGTH) return plain(index === 1 ? 'sender' : 'sequence', item, view.frame);
  const field = type && messageLayout(type)[index - HEAD_LENGTH];
  if (!field) return plain(`element ${index}`, item, view.frame);
  if (field.base !== undefined) return part(field.name, counterText(type, field.name, items, view), item, []);
  const describer = describers.get(field.schema);
  return describer ? describer(field.name, item, view) : plain(field.name, item, view.frame);
}

type Describer = (name: string, node: MsgpackNode, view: View) => FrameField;

const describers = new Map<Schema<unknown>, Describer>([
  [changesSchema, (name, node, view) => binOf(name, node, view, 'run', runsIn)],
  [entriesSchema, (name, node, view) => binOf(name, node, view, 'run', snapshotRunsIn)],
  [vectorEntriesSchema, (name, node, view) => binOf(name, node, view, 'entry', vectorEntriesIn)],
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

/** What a counter is that lies there as the difference to one before it, and as what it lies there. */
function counterText(type: MessageType, name: string, items: readonly MsgpackNode[], view: View): string {
  const value = counterOf(type, name, items, view);
  const item = items[HEAD_LENGTH + messageLayout(type).findIndex((field) => field.name === name)]!;
  const base = messageLayout(type).find((field) => field.name === name)?.base;
  return Number.isNaN(value) ? text(item, view.frame) : `${value} (${base} and ${text(item, view.frame)})`;
}

function counterOf(type: MessageType, name: string, items: readonly MsgpackNode[], view: View): number {
  const layout = messageLayout(type);
  const index = layout.findIndex((field) => field.name === name);
  const item = items[HEAD_LENGTH + index];
  const value = item && scalar(item, view.frame);
  if (typeof value !== 'number') return Number.NaN;
  const base = layout[index]?.base;
  return base === undefined ? value : value + counterOf(type, base, items, view);
}

/** The bytes of a compact field, and where they begin in the frame. */
interface Bin extends View {
  readonly start: number;
  readonly bytes: Uint8Array;
}

function binOf(
  name: string,
  node: MsgpackNode,
  view: View,
  noun: string,
  partsIn: (bin: Bin) => readonly FrameField[],
): FrameField {
  const bytes = scalar(node, view.frame);
  if (!(bytes instanceof Uint8Array)) return plain(name, node, view.frame);
  try {
    const children = partsIn({ ...view, bytes, start: nodeEnd(node) - bytes.length });
    return part(name, counted(children.length, noun), node, children);
  } catch (error) {
    // What does not have the form is shown as it is.
    if (isSyncError(error)) return plain(name, node, view.frame);
    throw error;
  }
}

const OPS: ReadonlyMap<number, string> = new Map([
  [WIRE_OP.put, 'put'],
  [WIRE_OP.patch, 'patch'],
  [WIRE_OP.patchAndRemove, 'patch and remove'],
  [WIRE_OP.remove, 'remove'],
]);

const TYPES = ['value', 'int', 'text', 'repeated text'] as const;

function runsIn(bin: Bin): FrameField[] {
  return readRuns(bin.bytes, 'changes').map((run) => describeRun(run, `${OPS.get(run.op)} `, bin));
}

function snapshotRunsIn(bin: Bin): FrameField[] {
  return readRuns(bin.bytes, 'records').map((run) => describeRun(run, '', bin));
}

/** A run of changes of one shape: operation and number of rows, fields, then each key with its values. */
function describeRun(run: RunPart, verb: string, bin: Bin): FrameField {
  const head = within(bin, 'op', `${verb}${counted(run.rows.length, 'record')}`, {
    offset: run.offset,
    end: run.headEnd,
  });
  const rows = run.rows.map((row) =>
    run.op === WIRE_OP.remove ? nameIn('key', row.key, bin) : describeRow(row, run.fields, bin),
  );
  const lists = [
    ...namesIn('fields', run.fields, bin),
    ...(run.fields.length === 0 ? [] : [typesIn(run.types, bin)]),
    ...namesIn('removed', run.removed, bin),
  ];
  const children = [head, ...lists, ...rows];
  return within(bin, `${verb}${counted(run.rows.length, 'record')}`, listing(rows), run, children);
}

function typesIn(types: Part<readonly number[]>, bin: Bin): FrameField {
  return within(bin, 'types', short(types.value.map((type) => TYPES[type]).join(', ')), types);
}

function describeRow({ key, values }: RowPart, fields: readonly NamePart[], bin: Bin): FrameField {
  const children = values.map((value, index) =>
    within(bin, nameOf(fields[index]!, bin), valueText(value.value), value),
  );
  const end = values.at(-1)?.end ?? key.end;
  const says = children.map((field) => `${field.name}=${field.text}`).join(', ');
  return within(bin, nameOf(key, bin), short(says), { offset: key.offset, end }, [
    nameIn('key', key, bin),
    ...children,
  ]);
}

function namesIn(name: string, parts: readonly NamePart[], bin: Bin): FrameField[] {
  const [first, last] = [parts[0], parts.at(-1)];
  if (!first || !last) return [];
  const children = parts.map((one) => nameIn('field', one, bin));
  const says = short(parts.map((one) => nameOf(one, bin)).join(', '));
  return [within(bin, name, says, { offset: first.offset, end: last.end }, children)];
}

function listing(fields: readonly FrameField[]): string {
  return short(fields.map((field) => (field.name === 'key' ? field.text : field.name)).join(', '));
}

function vectorEntriesIn(bin: Bin): FrameField[] {
  return readVector(bin.bytes, 'vector').map(({ replica, counter }) => {
    const count = within(bin, 'counter', String(counter.value), counter);
    const span = { offset: replica.offset, end: counter.end };
    return within(bin, nameOf(replica, bin), count.text, span, [nameIn('replica', replica, bin), count]);
  });
}

function nameIn(what: string, name: NamePart, bin: Bin): FrameField {
  const says = typeof name.value === 'number' ? `#${name.value} ${nameOf(name, bin)}` : JSON.stringify(name.value);
  return within(bin, what, short(says), name);
}

function nameOf({ value }: NamePart, { names }: View): string {
  return typeof value === 'string' ? short(value) : (names.nameAt(value) ?? `name ${value} (unknown)`);
}

/** A part of a compact field. */
function within(
  { start }: Bin,
  name: string,
  says: string,
  { offset, end }: { readonly offset: number; readonly end: number },
  children: readonly FrameField[] = [],
): FrameField {
  return { name: short(name), text: says, offset: start + offset, length: end - offset, children };
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
  return valueText(scalar(node, frame));
}

function valueText(value: unknown): string {
  if (Array.isArray(value)) return `${value.length} items`;
  if (value instanceof Uint8Array) return `${value.length} bytes ${short(toHex(value.subarray(0, 64)))}`;
  if (typeof value === 'object' && value !== null) return `${Object.keys(value).length} fields`;
  if (Object.is(value, -0)) return '-0';
  return short(typeof value === 'number' ? String(value) : JSON.stringify(value));
}

function short(line: string): string {
  return line.length > TEXT_MAX_LENGTH ? `${line.slice(0, TEXT_MAX_LENGTH - 1)}…` : line;
}
