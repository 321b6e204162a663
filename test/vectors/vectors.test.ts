import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import {
  decodeMessage,
  decodeText,
  MESSAGES,
  type Message,
  MIN_PROTOCOL,
  PROTOCOL_HISTORY,
  PROTOCOL_VERSION,
  schemaFingerprint,
  schemaText,
} from '@syncscope/protocol/messages';
import { afterEach, describe, expect, test } from 'vitest';
import { cases } from './cases.ts';
import {
  addVectors,
  asJson,
  exportedVectors,
  readIndex,
  sha256,
  type Vector,
  versionFolders,
  writeCase,
} from './vectors.ts';

const home = import.meta.dirname;
const folders = versionFolders(home);

/** A HELLO of a version that is no longer spoken must still be read, for its answer. */
const anyProtocol = { min: 1, max: PROTOCOL_VERSION };

function decode(folder: string, { file, codec, names }: Vector): Message {
  const bytes = new Uint8Array(readFileSync(join(folder, file)));
  if (codec === 'text') return decodeText(bytes, { protocols: anyProtocol });
  return decodeMessage(bytes, { nameAt: (index) => names[index] }, anyProtocol);
}

describe.each(folders.map((folder) => ({ version: basename(folder), folder })))('kept frames of $version', ({ folder }) => {
  const index = readIndex(folder);

  test.each(index.vectors.map((vector) => ({ file: vector.file, vector })))('$file is read as it was meant', ({ vector }) => {
    expect(sha256(readFileSync(join(folder, vector.file)))).toBe(vector.sha256);
    expect(asJson(decode(folder, vector))).toEqual(vector.message);
  });

  test('are what the library exports', () => {
    const file = createRequire(import.meta.url).resolve(`@syncscope/protocol/vectors/${basename(folder)}.json`);
    expect(readFileSync(file, 'utf8')).toBe(exportedVectors(folder));
  });

  test('are all there, and nothing else', () => {
    const files = readdirSync(folder).filter((file) => file !== 'index.json');
    expect(files.sort()).toEqual(index.vectors.map(({ file }) => file).sort());
  });
});

describe('the version that this build speaks', () => {
  const index = readIndex(join(home, `v${PROTOCOL_VERSION}`));

  test('has frames of every message in both codecs, and writes each to the byte', () => {
    for (const codec of ['binary', 'text'] as const) {
      const types = index.vectors.filter((vector) => vector.codec === codec).map(({ type }) => type);
      expect([...new Set(types)].sort()).toEqual(Object.keys(MESSAGES).sort());
    }
    const written = cases.flatMap(writeCase).map(({ vector }) => vector);
    expect(written).toEqual(index.vectors);
  });

  test('has the messages that its history line was written for', () => {
    const now = PROTOCOL_HISTORY.at(-1);
    expect(now?.version).toBe(PROTOCOL_VERSION);
    expect(
      now?.schema,
      `a message has changed: raise PROTOCOL_VERSION, add a line to PROTOCOL_HISTORY and keep frames of it with test/vectors/generate.ts\n${schemaText()}`,
    ).toBe(schemaFingerprint());
  });
});

test('every version has its history line, its frames, and the schema that it had', () => {
  expect(PROTOCOL_HISTORY.map(({ version }) => version)).toEqual(PROTOCOL_HISTORY.map((_, index) => index + 1));
  expect(folders.map(readIndex).map(({ protocol, schema }) => ({ protocol, schema }))).toEqual(
    PROTOCOL_HISTORY.map(({ version, schema }) => ({ protocol: version, schema })),
  );
  expect(MIN_PROTOCOL).toBeLessThanOrEqual(PROTOCOL_VERSION);
  expect(PROTOCOL_HISTORY.every(({ what }) => what.length > 10)).toBe(true);
});

test('message numbers are given once and never again', () => {
  const ids = Object.values(MESSAGES).map(({ id }) => id);
  expect(new Set(ids).size).toBe(ids.length);
  const kept = folders.flatMap((folder) => readIndex(folder).vectors).filter(({ codec }) => codec === 'binary');
  for (const { type } of kept) expect(Object.keys(MESSAGES)).toContain(type);
});

describe('the generator', () => {
  let copy = '';
  const copied = () => {
    copy = mkdtempSync(join(tmpdir(), 'vectors-'));
    for (const folder of folders) cpSync(folder, join(copy, basename(folder)), { recursive: true });
    return copy;
  };
  const contents = (folder: string) =>
    readdirSync(folder).map((file) => [file, sha256(readFileSync(join(folder, file)))] as const);
  afterEach(() => rmSync(copy, { recursive: true, force: true }));

  test('adds a new case and leaves what is there as it is', () => {
    const folder = join(copied(), `v${PROTOCOL_VERSION}`);
    const before = contents(folder).filter(([file]) => file !== 'index.json');
    expect(addVectors(copy, cases)).toEqual([]);
    const more = { name: 'bye-more', body: { type: 'BYE', reason: 'more' } } as const;
    expect(addVectors(copy, [...cases, more])).toEqual(['bye-more.bin', 'bye-more.txt']);
    expect(contents(folder)).toEqual(expect.arrayContaining(before));
    expect(readIndex(folder).vectors.slice(0, -2)).toEqual(readIndex(join(home, basename(folder))).vectors);
  });

  test('refuses a case that changed, a frame that was tampered with, and another schema, and writes nothing', () => {
    const folder = join(copied(), `v${PROTOCOL_VERSION}`);
    const before = contents(folder);
    const changed = { name: 'bye', body: { type: 'BYE', reason: 'changed' } } as const;
    const fresh = { name: 'bye-more', body: { type: 'BYE', reason: 'more' } } as const;
    expect(() => addVectors(copy, [fresh, changed])).toThrow('bye.bin is kept for ever');
    expect(contents(folder)).toEqual(before);
    const index = readIndex(folder);
    writeFileSync(join(folder, 'index.json'), JSON.stringify({ ...index, schema: '0000000000000000' }));
    expect(() => addVectors(copy, [fresh])).toThrow('raise PROTOCOL_VERSION');
    writeFileSync(join(folder, 'index.json'), JSON.stringify({ ...index, vectors: [] }));
    expect(() => addVectors(copy, cases)).toThrow('is kept for ever');
  });
});
