import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  FrameEncoder,
  formatMessage,
  type Message,
  type MessageType,
  PROTOCOL_VERSION,
  schemaFingerprint,
  writeJson,
} from '@syncscope/protocol/messages';
import { SENDER, type VectorCase } from './cases.ts';

/** One kept frame. */
export interface Vector {
  readonly name: string;
  readonly type: MessageType;
  readonly codec: 'binary' | 'text';
  readonly file: string;
  /** Of the file's bytes, in hex. */
  readonly sha256: string;
  /** The sender's names when the frame was written; text needs none. */
  readonly names: readonly string[];
  /** The message as the text protocol writes values in JSON. */
  readonly message: unknown;
}

/** All frames of one version of the protocol, and the fingerprint of its messages. */
export interface VectorIndex {
  readonly protocol: number;
  readonly schema: string;
  readonly vectors: readonly Vector[];
}

/** A frame as this build writes it. */
export interface WrittenVector {
  readonly vector: Vector;
  readonly bytes: Uint8Array;
}

/** Values without what JSON lacks. */
export function asJson(message: object): unknown {
  return JSON.parse(writeJson(message));
}

/** The two frames of a case. */
export function writeCase({ name, body }: VectorCase): WrittenVector[] {
  const encoder = new FrameEncoder(SENDER);
  const frame = encoder.encode(body).at(-1)!;
  const message: Message = { ...body, sender: SENDER, sequence: frame.sequence };
  const text = new TextEncoder().encode(formatMessage(message));
  const about = { name, type: body.type, message: asJson(message) };
  const names = encoder.names.slice(0);
  return [
    {
      bytes: frame.frame,
      vector: { ...about, codec: 'binary', file: `${name}.bin`, sha256: sha256(frame.frame), names },
    },
    { bytes: text, vector: { ...about, codec: 'text', file: `${name}.txt`, sha256: sha256(text), names: [] } },
  ];
}

export function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** The folders of all versions, oldest first. */
export function versionFolders(folder: string): string[] {
  return readdirSync(folder)
    .filter((name) => /^v[1-9][0-9]*$/.test(name))
    .sort((left, right) => Number(left.slice(1)) - Number(right.slice(1)))
    .map((name) => join(folder, name));
}

export function readIndex(folder: string): VectorIndex {
  return JSON.parse(readFileSync(join(folder, 'index.json'), 'utf8')) as VectorIndex;
}

/** All frames of one version in one file, bytes in hex, in ASCII: what `@syncscope/protocol` exports. */
export function exportedVectors(folder: string): string {
  const { protocol, schema, vectors } = readIndex(folder);
  const frames = vectors.map(({ file, sha256: _, ...vector }) => {
    return { ...vector, bytes: readFileSync(join(folder, file)).toString('hex') };
  });
  const json = JSON.stringify({ protocol, schema, frames }, undefined, 1);
  // Nothing unseen, or that turns the direction of writing, stands in a source.
  return `${json.replace(/[^\n -~]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)}\n`;
}

/**
 * Adds the vectors that are not there yet to the folder of the protocol version that this build speaks. Only ever adds.
 * @returns the files added
 * @throws Error where the schema or any frame is no longer what the folder holds, before anything is written
 */
export function addVectors(folder: string, cases: readonly VectorCase[]): string[] {
  const home = join(folder, `v${PROTOCOL_VERSION}`);
  const before: VectorIndex = existsSync(join(home, 'index.json'))
    ? readIndex(home)
    : { protocol: PROTOCOL_VERSION, schema: schemaFingerprint(), vectors: [] };
  if (before.schema !== schemaFingerprint()) {
    throw new Error(
      `the messages of protocol ${PROTOCOL_VERSION} have the schema ${before.schema}, this build has ${schemaFingerprint()}: ` +
        'raise PROTOCOL_VERSION and add a line to PROTOCOL_HISTORY',
    );
  }
  const known = new Map(before.vectors.map((vector) => [vector.file, vector]));
  const added: WrittenVector[] = [];
  for (const written of cases.flatMap(writeCase)) {
    const { vector, bytes } = written;
    const old = known.get(vector.file);
    if (old === undefined && !existsSync(join(home, vector.file))) {
      added.push(written);
    } else if (old === undefined || JSON.stringify(old) !== JSON.stringify(vector) || sha256(bytes) !== old.sha256) {
      throw new Error(`${vector.file} is kept for ever and this build writes another: give the case a new name`);
    }
  }
  mkdirSync(home, { recursive: true });
  for (const { vector, bytes } of added) writeFileSync(join(home, vector.file), bytes, { flag: 'wx' });
  const index: VectorIndex = { ...before, vectors: [...before.vectors, ...added.map(({ vector }) => vector)] };
  if (added.length > 0) writeFileSync(join(home, 'index.json'), `${JSON.stringify(index, undefined, 2)}\n`);
  return added.map(({ vector }) => vector.file);
}
