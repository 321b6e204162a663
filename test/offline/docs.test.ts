import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { root } from '../support/processes.ts';
import { example } from './example.ts';

it('the example of docs/offline.md is this one, and does what the page says', async () => {
  const page = readFileSync(join(root, 'docs', 'offline.md'), 'utf8');
  const blocks = [...page.matchAll(/```(\w*)\n([\s\S]*?)```/g)].map(([, kind, text]) => [kind, text]);
  const code = readFileSync(join(import.meta.dirname, 'example.ts'), 'utf8');
  expect(blocks.find(([kind]) => kind === 'ts')?.[1]).toBe(code);
  const folder = mkdtempSync(join(tmpdir(), 'offline-docs-'));
  try {
    const told = await example(join(folder, 'queue.db'));
    expect(blocks.find(([kind]) => kind === 'text')?.[1]).toBe(`${told.join('\n')}\n`);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
