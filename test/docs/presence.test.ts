import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { root } from '../support/processes.ts';
import { example } from './presence-example.ts';

it('the example of docs/presence.md is this one, and tells what the page says', () => {
  const page = readFileSync(join(root, 'docs', 'presence.md'), 'utf8');
  const blocks = [...page.matchAll(/```(\w*)\n([\s\S]*?)```/g)].map(([, kind, text]) => [kind, text]);
  const code = readFileSync(join(import.meta.dirname, 'presence-example.ts'), 'utf8');
  expect(blocks.find(([kind]) => kind === 'ts')?.[1]).toBe(code);
  expect(blocks.find(([kind]) => kind === 'text')?.[1]).toBe(`${example().join('\n')}\n`);
});
