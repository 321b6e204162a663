import {
  beginWriting,
  unpackMsgpack,
  writeArrayHeader,
  writeEncoded,
  writeNumber,
  writeShort,
  writeText,
  writeValue,
  writtenFrom,
  writtenInSlab,
  writtenLength,
} from '../bytes/index.ts';
import { isSyncError, SyncError } from '../errors/index.ts';
import type { Schema } from '../schema/index.ts';
import { type ReplicaId, replicaId } from '../state/index.ts';
import { decodeDirectly } from './direct-decode.ts';
import { MESSAGES, type Message, type MessageBody, type MessageType, messageType } from './message.ts';
import { NAMES_PER_FRAME, type NameLimits, type NameSource, NameTable } from './names.ts';
import { OWN_PROTOCOLS, PROTOCOL_VERSION, type ProtocolRange, requireProtocol } from './protocol.ts';
import { type WireForm, wireForm } from './wire.ts';
import { writeDelta } from './wire-write.ts';

/**
 * The binary codec. A frame is one msgpack array `[type number, sender, sequence, ...fields]`, the fields
 * in the order of their schema, absent ones as nil. Elements after the known ones are a later version's and passed over.
 */

/** Where the fields begin in a frame's tuple. */
export const HEAD_LENGTH = 3;

interface FieldLayout {
  readonly name: string;
  readonly schema: Schema<unknown>;
  readonly form: WireForm<unknown>;
  /** The counter before it that this one is written as the difference to. */
  readonly base?: string;
  /** Whether it never goes back behind {@link base}. */
  readonly isRising?: boolean;
}

/** In a delta, the message that is sent most, these are small beside the ones that they are told from. */
const DIFFERENCES: Readonly<Partial<Record<MessageType, Readonly<Record<string, string>>>>> = {
  DELTA_SYNC: { to: 'from', since: 'from', progress: 'since' },
};

/** Of those, counters that only rise: a delta leads to a later state. `since` counts something else than `from`. */
const RISING: Readonly<Partial<Record<MessageType, readonly string[]>>> = { DELTA_SYNC: ['to', 'progress'] };

const layouts = new Map<MessageType, readonly FieldLayout[]>(
  (Object.keys(MESSAGES) as MessageType[]).map((type) => [
    type,
    MESSAGES[type].schema.fields.map(([name, schema]) => {
      const base = DIFFERENCES[type]?.[name];
      const isRising = RISING[type]?.includes(name) === true;
      return { name, schema, form: wireForm(schema), ...(base === undefined ? {} : { base, isRising }) };
    }),
  ]),
);

const heads = new Map(
  [...layouts].map(([type, layout]) => [type, { id: MESSAGES[type].id, length: HEAD_LENGTH + layout.length }] as const),
);

/** The fields of a message in wire order. */
export function messageLayout(type: MessageType): readonly FieldLayout[] {
  return layouts.get(type) ?? [];
}

/** A message as bytes, with what a trace record says of it. */
export interface EncodedFrame {
  readonly type: MessageType;
  readonly sender: ReplicaId;
  readonly sequence: number;
  /** Its memory may be shared with other frames: its `buffer` is not to be given away. */
  readonly frame: Uint8Array;
  /** Set on NAMES: what it announces. */
  readonly names?: { readonly first: number; readonly names: readonly string[] };
}

/**
 * Encodes the messages of one sender. All its receivers share the name table, so that one encoding serves them all;
 * each must have been given every NAMES frame, in order, before the frame that follows it.
 */
export class FrameEncoder {
  readonly sender: ReplicaId;
  readonly names = new NameTable();
  #sequence = 0;
  /** Names of the table that NAMES frames have carried. */
  #announced = 0;
  /** What all frames of the type that was written last begin with. */
  #headType: MessageType | undefined;
  #head: Uint8Array = new Uint8Array();

  constructor(sender: ReplicaId) {
    this.sender = sender;
  }

  /** Frames made so far. */
  get sequence(): number {
    return this.#sequence;
  }

  /** Where it is, for another one to {@link resume} from. */
  get standing(): { readonly names: string[]; readonly announced: number; readonly sequence: number } {
    return { names: this.names.slice(0), announced: this.#announced, sequence: this.#sequence };
  }

  /** Goes on where another one was; for an encoder that has made nothing yet. */
  resume({ names, announced, sequence }: FrameEncoder['standing']): void {
    this.names.append(0, names);
    this.#announced = announced;
    this.#sequence = sequence;
  }

  /**
   * The frame of a message, behind NAMES frames where it is the first to use some names.
   * @throws SyncError `VALUE_INVALID` or `LIMIT_DEPTH` for values that cannot be sent; names met on the way are announced with the next frame
   */
  encode(body: MessageBody): EncodedFrame[] {
    beginWriting();
    this.#writeHead(body.type);
    const headLength = writtenLength();
    this.#writeFields(body);
    const frame = writtenInSlab();
    if (this.names.length === this.#announced) return [this.#take(body.type, frame)];
    // Names that this message brings in go first, so that its own number in the sequence comes later.
    const frames = this.encodeNames(this.#announced);
    this.#announced = this.names.length;
    beginWriting();
    this.#writeHead(body.type);
    writeEncoded(frame.subarray(headLength));
    frames.push(this.#take(body.type, writtenInSlab()));
    return frames;
  }

  /** NAMES frames for all names from `first` on: with 0, what a newcomer needs. */
  encodeNames(first = 0): EncodedFrame[] {
    const frames: EncodedFrame[] = [];
    for (let start = first; start < this.names.length; start += NAMES_PER_FRAME) {
      const names = this.names.slice(start, start + NAMES_PER_FRAME);
      beginWriting();
      this.#writeHead('NAMES');
      writeNumber(start);
      writeValue(names, 'own', 1);
      frames.push({ ...this.#take('NAMES', writtenInSlab()), names: { first: start, names } });
    }
    return frames;
  }

  #writeHead(type: MessageType): void {
    if (type === this.#headType) {
      writeShort(this.#head);
    } else {
      const { length, id } = heads.get(type)!;
      const start = writtenLength();
      writeArrayHeader(length);
      writeNumber(id);
      writeText(this.sender);
      this.#head = writtenFrom(start);
      this.#headType = type;
    }
    writeNumber(this.#sequence + 1);
  }

  #writeFields(body: MessageBody): void {
    if (body.type === 'DELTA_SYNC') {
      writeDelta(body, this.names);
      return;
    }
    const layout = layouts.get(body.type)!;
    for (let index = 0; index < layout.length; index++) {
      const { name, form } = layout[index]!;
      form.write((body as unknown as Readonly<Record<string, unknown>>)[name], this.names);
    }
  }

  /** Counts a frame as made. */
  #take(type: MessageType, frame: Uint8Array): EncodedFrame {
    this.#sequence++;
    return { type, sender: this.sender, sequence: this.#sequence, frame };
  }
}

/** Decodes the frames of one sender on one link, and keeps the names that it announces. */
export class FrameDecoder {
  #names: NameTable;
  readonly #protocols: ProtocolRange;
  readonly #limits: NameLimits | undefined;

  /** `protocols`: what a HELLO must meet. `limits`: of the names that the sender may announce, where that is less than any may. */
  constructor(protocols: ProtocolRange = OWN_PROTOCOLS, limits?: NameLimits) {
    this.#protocols = protocols;
    this.#limits = limits;
    this.#names = new NameTable(limits);
  }

  get names(): NameTable {
    return this.#names;
  }

  /**
   * Decodes and checks a whole frame before anything changes.
   * @throws SyncError `FRAME_NOT_MSGPACK` (its `cause` says why), `MESSAGE_UNKNOWN_TYPE`, `SCHEMA_MISMATCH`, `NAME_UNKNOWN`,
   *   `NAMES_OUT_OF_ORDER`, `NAMES_LIMIT`, `PROTOCOL_UNSUPPORTED` for a HELLO of versions that do not meet ours
   */
  decode(frame: Uint8Array): Message {
    const message = decodeMessage(frame, this.#names, this.#protocols);
    if (message.type === 'NAMES') this.#take(message.first, message.names);
    return message;
  }

  /** Knows these names from the first on, as if they had been announced. @throws SyncError `NAMES_LIMIT` */
  resume(names: readonly string[]): void {
    this.#take(0, names);
  }

  #take(first: number, names: readonly string[]): void {
    const known = this.#names;
    const isKnown = names.every((name, index) => (known.nameAt(first + index) ?? name) === name);
    if (first > 0 || isKnown) {
      // What comes again, late, or for a newcomer among us: numbers keep their names, and only what is behind them is new.
      if (first >= known.length) known.append(first, names);
      else if (isKnown) known.append(known.length, names.slice(known.length - first));
      return;
    }
    // Another sender starts over.
    const table = new NameTable(this.#limits);
    table.append(0, names);
    this.#names = table;
  }
}

/** Encoder and decoder of one end of one link. */
export class BinaryCodec {
  readonly encoder: FrameEncoder;
  readonly decoder = new FrameDecoder();

  constructor(sender: ReplicaId) {
    this.encoder = new FrameEncoder(sender);
  }

  /** @throws SyncError as {@link FrameEncoder.encode} */
  encode(body: MessageBody): Uint8Array[] {
    return this.encoder.encode(body).map(({ frame }) => frame);
  }

  /** @throws SyncError as {@link FrameDecoder.decode} */
  decode(frame: Uint8Array): Message {
    return this.decoder.decode(frame);
  }
}

/**
 * Decodes a frame with given names, changing nothing.
 * @throws SyncError as {@link FrameDecoder.decode}
 */
export function decodeMessage(frame: Uint8Array, names: NameSource, protocols: ProtocolRange = OWN_PROTOCOLS): Message {
  return decodeDirectly(frame, names) ?? decodePlainly(frame, names, protocols);
}

/** {@link decodeMessage} in the plain way for every message: to generic values first, then field by field. */
export function decodePlainly(frame: Uint8Array, names: NameSource, protocols: ProtocolRange = OWN_PROTOCOLS): Message {
  const tuple = readTuple(frame);
  const type = messageType(tuple[0]);
  if (type === undefined) {
    throw new SyncError(
      'MESSAGE_UNKNOWN_TYPE',
      `message type ${String(tuple[0])} is not one of protocol ${PROTOCOL_VERSION}`,
      { origin: 'protocol', place: { path: 'type' } },
    );
  }
  if (type === 'HELLO') checkProtocol(tuple, protocols);
  let part = 'sender';
  try {
    const message: Record<string, unknown> = { type, sender: readSender(tuple[1], type), sequence: tuple[2] };
    if (!Number.isSafeInteger(tuple[2]) || (tuple[2] as number) < 1) {
      throw schemaMismatch(`${type}/sequence`, 'a positive integer');
    }
    const layout = layouts.get(type)!;
    for (let index = 0; index < layout.length; index++) {
      const { name, form, base, isRising } = layout[index]!;
      part = name;
      let wire = tuple[HEAD_LENGTH + index];
      if (isRising && (wire as number) < 0) throw schemaMismatch(`${type}/${name}`, `no less than ${base}`);
      if (base !== undefined && Number.isSafeInteger(wire)) wire = (message[base] as number) + (wire as number);
      const value = form.decode(wire === undefined ? null : wire, names, `${type}/${name}`);
      if (value !== undefined) message[name] = value;
    }
    // Every field went through its schema or wire form, which TypeScript cannot follow from the layout.
    return message as unknown as Message;
  } catch (error) {
    throw located(error, `${type}/${part}`);
  }
}

/** What refused a key or a replica does not know where in the frame it stood. */
function located(error: unknown, path: string): unknown {
  if (!isSyncError(error) || error.place.path !== undefined) return error;
  const { code, origin, retry, place } = error;
  return new SyncError(code, `${path}: ${error.message}`, { origin, retry, place: { ...place, path }, cause: error });
}

function readTuple(frame: Uint8Array): readonly unknown[] {
  let value: unknown;
  try {
    value = unpackMsgpack(frame);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    const offset = isSyncError(error) ? error.place.offset : undefined;
    throw new SyncError('FRAME_NOT_MSGPACK', `frame of ${frame.length} bytes is not one msgpack value: ${why}`, {
      origin: 'bytes',
      cause: error,
      ...(offset === undefined ? {} : { place: { offset } }),
    });
  }
  if (!Array.isArray(value) || value.length < HEAD_LENGTH) {
    throw schemaMismatch('frame', 'an array of type, sender, sequence and fields');
  }
  return value;
}

function readSender(wire: unknown, type: MessageType): ReplicaId {
  if (typeof wire !== 'string') throw schemaMismatch(`${type}/sender`, 'a replica id');
  return replicaId(wire);
}

function checkProtocol(tuple: readonly unknown[], protocols: ProtocolRange): void {
  const [min, max] = tuple.slice(HEAD_LENGTH);
  if (Number.isSafeInteger(min) && Number.isSafeInteger(max)) requireProtocol(min as number, max as number, protocols);
}

function schemaMismatch(path: string, expected: string): SyncError {
  return new SyncError('SCHEMA_MISMATCH', `${path}: expected ${expected}`, { origin: 'protocol', place: { path } });
}
