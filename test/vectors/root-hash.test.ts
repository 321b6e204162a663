import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { StateRoot } from '@syncscope/protocol/merkle';
import { type RecordKey, recordKey, type SyncRecord, type Value } from '@syncscope/protocol/state';
import { describe, expect, it } from 'vitest';

/** docs/root-hash.md written down once more, as its reader would: slow, plain, and with nothing of the library. */

const document = readFileSync(join(import.meta.dirname, '../../docs/root-hash.md'), 'utf8');

type Words = readonly [high: number, low: number];

const times = (one: number, other: number): number => Math.imul(one, other) >>> 0;

function hash(bytes: readonly number[]): Words {
  let a = 0x27d4eb2f;
  let b = 0x165667b1;
  for (let at = 0; at < bytes.length; at += 4) {
    const [w0 = 0, w1 = 0, w2 = 0, w3 = 0] = bytes.slice(at, at + 4);
    const word = (w0 | (w1 << 8) | (w2 << 16) | (w3 << 24)) >>> 0;
    a = times(a ^ word, 0x9e3779b1);
    a = (a ^ (a >>> 15)) >>> 0;
    const mixed = times(b + word, 0x85ebca77);
    b = (((mixed << 13) | (mixed >>> 19)) + a) >>> 0;
  }
  b = (b ^ times(bytes.length, 0x9e3779b1)) >>> 0;
  a = ((a ^ bytes.length) + b) >>> 0;
  a = times(a ^ (a >>> 16), 0x85ebca6b);
  a = times(a ^ (a >>> 13), 0xc2b2ae35);
  a = (a ^ (a >>> 16)) >>> 0;
  b = (b + a) >>> 0;
  b = times(b ^ (b >>> 16), 0x21f0aaad);
  b = times(b ^ (b >>> 15), 0x735a2d97);
  return [a, (b ^ (b >>> 15)) >>> 0];
}

function utf8(text: string): number[] {
  return [...new TextEncoder().encode(text)];
}

function digest(text: string): number[] {
  return hash(utf8(text)).flatMap((word) => [word & 255, (word >>> 8) & 255, (word >>> 16) & 255, word >>> 24]);
}

function bigEndian(value: bigint, bytes: number): number[] {
  const unsigned = BigInt.asUintN(8 * bytes, value);
  return Array.from({ length: bytes }, (_, at) => Number((unsigned >> BigInt(8 * (bytes - 1 - at))) & 255n));
}

/** The first of the headers whose numbers reach far enough. */
function header(count: number, short: number, below: number, tags: readonly [tag: number, bytes: number][]): number[] {
  if (count < below) return [short | count];
  const [tag, bytes] = tags.find(([, size]) => count < 256 ** size)!;
  return [tag, ...bigEndian(BigInt(count), bytes)];
}

function integer(value: number): number[] {
  if (value >= 0) {
    const tags: [number, number][] = [
      [0xcc, 1],
      [0xcd, 2],
      [0xce, 4],
      [0xcf, 8],
    ];
    return header(value, 0, 128, tags);
  }
  if (value >= -32) return [256 + value];
  const size = [1, 2, 4, 8].find((bytes) => -value <= 256 ** bytes / 2)!;
  return [0xd0 + Math.log2(size), ...bigEndian(BigInt(value), size)];
}

function canonical(value: Value): number[] {
  if (value === null) return [0xc0];
  if (typeof value === 'boolean') return [value ? 0xc3 : 0xc2];
  if (typeof value === 'number') {
    if (Number.isSafeInteger(value) && !Object.is(value, -0)) return integer(value);
    const view = new DataView(new ArrayBuffer(8));
    view.setFloat64(0, value);
    return [0xcb, ...new Uint8Array(view.buffer)];
  }
  if (typeof value === 'string') {
    const bytes = utf8(value);
    const tags: [number, number][] = [
      [0xd9, 1],
      [0xda, 2],
      [0xdb, 4],
    ];
    return [...header(bytes.length, 0xa0, 32, tags), ...bytes];
  }
  if (Array.isArray(value)) return [...header(value.length, 0x90, 16, [[0xdc, 2]]), ...value.flatMap(canonical)];
  const fields = Object.entries(value as SyncRecord);
  fields.sort(([one], [other]) => Buffer.compare(Buffer.from(one), Buffer.from(other)));
  return [
    ...header(fields.length, 0x80, 16, [[0xde, 2]]),
    ...fields.flatMap(([name, one]) => [...canonical(name), ...canonical(one)]),
  ];
}

function hex(words: Words): string {
  return words.map((word) => word.toString(16).padStart(8, '0')).join('');
}

function rootOf(state: { readonly [key: string]: SyncRecord }): string {
  let [high, low] = [0, 0];
  const add = (part: Words): void => {
    high = (high + part[0]) >>> 0;
    low = (low + part[1]) >>> 0;
  };
  for (const [key, record] of Object.entries(state)) {
    add(hash(digest(key)));
    for (const [name, value] of Object.entries(record)) {
      add(hash([...digest(key), ...digest(name), ...canonical(value)]));
    }
  }
  return hex([high, low]);
}

/** The rows of the table below a heading row. */
function rows(heading: string): string[][] {
  const lines = document.slice(document.indexOf(heading)).split('\n').slice(2);
  const end = lines.findIndex((line) => !line.startsWith('|'));
  return lines
    .slice(0, end)
    .map((line) => line.split('|').slice(1, -1))
    .map((cells) => cells.map((cell) => cell.trim().replaceAll('`', '')));
}

describe('docs/root-hash.md', () => {
  it('gives the hashes of its bytes', () => {
    const vectors = rows('| bytes, in hexadecimal | H |');
    expect(vectors.length).toBeGreaterThan(4);
    for (const [bytes, expected] of vectors) {
      expect(hex(hash(bytes === 'none' ? [] : [...Buffer.from(bytes!, 'hex')]))).toBe(expected);
    }
  });

  it('gives the roots of its states, and the library the same', () => {
    const vectors = rows('| state | root |');
    expect(vectors.length).toBeGreaterThan(7);
    expect(new Set(vectors.map(([, root]) => root)).size).toBe(vectors.length);
    for (const [text, expected] of vectors) {
      const state: { [key: string]: SyncRecord } = JSON.parse(text!);
      expect([text, rootOf(state)]).toEqual([text, expected]);
      const entries = Object.entries(state).map(([key, record]): [RecordKey, SyncRecord] => [recordKey(key), record]);
      expect(StateRoot.from(entries).hash).toBe(expected);
    }
  });

  it('and the library agree on a state of many records', () => {
    const entries = Array.from({ length: 300 }, (_, at): [RecordKey, SyncRecord] => [
      recordKey(`thing/${at}`),
      { name: `thing ${at}`, at: at * at - 5_000, half: at / 2, room: at % 3 === 0 ? null : `room-${at % 17}` },
    ]);
    expect(StateRoot.from(entries).hash).toBe(rootOf(Object.fromEntries(entries)));
  });
});
