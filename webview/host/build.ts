import { chmodSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'esbuild';

/** `node webview/host/build.ts`: the `syncscope` command as one file that needs nothing but Node, beside the page. */
const outdir = join(import.meta.dirname, '..', 'dist');
const outfile = join(outdir, 'syncscope.mjs');
await build({
  // Beside it the thread in which somebody's definition is run again.
  entryPoints: {
    syncscope: join(import.meta.dirname, 'cli.ts'),
    'replay-worker': join(import.meta.dirname, 'replay-worker.ts'),
  },
  outdir,
  outExtension: { '.js': '.mjs' },
  bundle: true,
  platform: 'node',
  format: 'esm',
  target: 'node24',
  minify: true,
  legalComments: 'none',
  logLevel: 'warning',
  // Optional native helpers of ws and msgpackr: both do without.
  external: ['bufferutil', 'utf-8-validate', 'msgpackr-extract'],
  // Some dependencies are CommonJS and call `require` of Node's own modules.
  banner: { js: 'import{createRequire as __r}from"node:module";const require=__r(import.meta.url);' },
});
chmodSync(outfile, 0o755);
