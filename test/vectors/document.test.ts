import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  decodeMessage,
  FrameEncoder,
  formatMessage,
  MESSAGES,
  PROTOCOL_HISTORY,
  parseMessage,
  textKeyword,
} from '@syncscope/protocol/messages';
import { replicaId } from '@syncscope/protocol/state';
import { describe, expect, test } from 'vitest';

const root = join(import.meta.dirname, '../..');
const document = readFileSync(join(root, 'docs/protocol.md'), 'utf8');

describe('docs/protocol.md', () => {
  test('has every message with its number and fields in wire order, and its keyword in the grammar', () => {
    for (const [type, { id, schema }] of Object.entries(MESSAGES)) {
      const fields = schema.fields.map(([name, field]) => (field.isOptional ? `${name}?` : name)).join(', ');
      expect(document).toMatch(
        new RegExp(`^\\| ${id} \\| ${type} \\| [a-z]+ \\| ${fields.replaceAll('?', '\\?')} \\|$`, 'm'),
      );
      expect(document).toContain(`"${textKeyword(type as keyof typeof MESSAGES)}"`);
    }
  });

  test('has the line of every version', () => {
    for (const { version, schema, what } of PROTOCOL_HISTORY) {
      expect(document).toContain(`| ${version} | \`${schema}\` | ${what} |`);
    }
  });

  test('shows texts that are read and written as they stand there', () => {
    const texts = [...document.matchAll(/```sync-text\n([^`]*)```/g)].map(([, text]) => text!);
    expect(texts.length).toBeGreaterThan(1);
    for (const text of texts) {
      expect(formatMessage(parseMessage(text), { documentHash: text.includes('HASH31') })).toBe(text);
    }
  });

  test('takes a frame apart that is written and read so', () => {
    const block = /```\n(9b 08 [^`]*)```/.exec(document)?.[1] ?? '';
    const hex = block.split('\n').flatMap((line) => /^ *((?:[0-9a-f]{2} )*[0-9a-f]{2})/.exec(line)?.[1] ?? []);
    const frame = new Uint8Array(Buffer.from(hex.join('').replaceAll(' ', ''), 'hex'));
    const encoder = new FrameEncoder(replicaId('server'));
    for (const name of ['room', 'player/alice']) encoder.names.reference(name);
    const message = decodeMessage(frame, encoder.names);
    expect(message).toMatchObject({ from: 7, to: 9, since: 9, progress: 12, vector: [], rejected: [] });
    expect(message).toMatchObject({ changes: [{ op: 'patch', key: 'player/alice', fields: { room: 'hall' } }] });
    const { sender: _, sequence, ...body } = message;
    expect(encoder.encode(body).at(-1)).toMatchObject({ frame, sequence });
  });

  test('explains every code that a frame can be refused with', () => {
    const sources = ['messages', 'messages/text', 'state'].flatMap((folder) => {
      const path = join(root, 'protocol-lib/src', folder);
      return readdirSync(path)
        .filter((file) => file.endsWith('.ts') && !file.includes('.test'))
        .map((file) => readFileSync(join(path, file), 'utf8'));
    });
    sources.push(readFileSync(join(root, 'protocol-lib/src/bytes/check.ts'), 'utf8'));
    const thrown = /(?:SyncError|fail|failAt|refuse)\(\s*'([A-Z][A-Z0-9_]+)'/g;
    const codes = new Set(sources.flatMap((source) => [...source.matchAll(thrown)].map(([, code]) => code!)));
    expect(codes.size).toBeGreaterThan(20);
    const table = document.slice(document.indexOf('## Errors'));
    expect([...codes].filter((code) => !new RegExp(`\\b${code}\\b`).test(table))).toEqual([]);
  });
});
