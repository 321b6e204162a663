import { join } from 'node:path';
import { build } from 'esbuild';
import { repository } from './fetch.ts';

/** The module that VS Code loads as `extensionTestsPath`. */
export const suitePath = join(repository, 'test', 'vscode', 'out', 'suite.cjs');

/** Bundles the tests that run inside the extension host. */
export async function buildSuite(): Promise<void> {
  await build({
    entryPoints: [join(repository, 'test', 'vscode', 'suite', 'index.ts')],
    outfile: suitePath,
    bundle: true,
    platform: 'node',
    format: 'cjs',
    target: 'node24',
    sourcemap: 'inline',
    external: ['vscode', 'mocha'],
    logLevel: 'warning',
  });
}
