import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';

const page = readFileSync(resolve(import.meta.dirname, '../../docs/diffsync.md'), 'utf8');

/** The text of the only fenced block of a language. */
function block(language: string): string {
  const found = page.split('```').filter((part) => part.startsWith(`${language}\n`));
  expect(found.length).toBe(1);
  return found[0]!.slice(language.length + 1);
}

test('the example of docs/diffsync.md prints what the page says', async () => {
  const { stdout } = await promisify(execFile)('node', ['--input-type=module-typescript', '--eval', block('ts')], {
    cwd: import.meta.dirname,
  });
  expect(stdout).toBe(block('text'));
});
