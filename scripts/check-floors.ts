import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { findViolations } from './floors.ts';

/** `npm run floors`: names each broken rule of `floors.ts` in the checkout and exits 1 where there is one. */
const root = resolve(import.meta.dirname, '..');
const listing = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard', '-z'], {
  cwd: root,
  encoding: 'utf8',
});
const files = listing
  .split('\0')
  .filter((path) => /\.tsx?$/.test(path) && existsSync(join(root, path)))
  .map((path) => ({ path, text: readFileSync(join(root, path), 'utf8') }));
const violations = findViolations(files);
for (const { path, line, message } of violations) console.error(`${path}:${line}: ${message}`);
console.log(`floors: ${files.length} files, ${violations.length} violations`);
if (violations.length > 0) process.exitCode = 1;
