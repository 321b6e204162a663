import { chmodSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'esbuild';

/** `node webview/host/build.ts`: the `syncscope` command as one file that needs nothing but Node, beside the page. */
const outfile = join(import.meta.dirname, '..', 'dist', 'syncscope.mjs');
await build({
  entryPoints: [join(import.meta.dirname, 'cli.ts')],
  outfile,
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
