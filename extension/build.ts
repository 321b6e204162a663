import { cpSync, existsSync, mkdirSync, rmSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type BuildOptions, build, type Plugin } from 'esbuild';

/**
 * `node extension/build.ts`: everything that the extension runs, in `extension/dist`: its own bundle, the sample server
 * that it starts, and the inspector that `webview/build.ts` made before.
 */
const here = dirname(fileURLToPath(import.meta.url));
const dist = join(here, 'dist');
const inspector = join(here, '..', 'webview', 'dist');

/** The inspector's files that a webview loads; its worker is for browsers only. */
const INSPECTOR_FILES = ['inspector.js', 'inspector.css'];

/** Bytes. Activation reads the first, each panel the second. A quarter of the first are RE2's tables of characters, a third reading and redacting captures. */
const BUDGETS = { 'extension.cjs': 640 * 1024, 'webview/inspector.js': 900 * 1024 };

rmSync(dist, { recursive: true, force: true });
mkdirSync(join(dist, 'webview'), { recursive: true });
for (const file of INSPECTOR_FILES) {
  const from = join(inspector, file);
  if (!existsSync(from)) throw new Error(`webview/dist/${file} is missing: run "node webview/build.ts" first`);
  cpSync(from, join(dist, 'webview', file));
}

/** Only a reader of MCAP that is not used here wants this package; it does not say for itself that it may then be left out. */
const withoutHeap: Plugin = {
  name: 'without-heap',
  setup(esbuild) {
    esbuild.onResolve({ filter: /^heap-js$/ }, async ({ path, pluginData, ...args }) => {
      if (pluginData === withoutHeap) return undefined;
      const { kind, importer, resolveDir } = args;
      const found = await esbuild.resolve(path, { kind, importer, resolveDir, pluginData: withoutHeap });
      return { ...found, sideEffects: false };
    });
  },
};

const common: BuildOptions = {
  plugins: [withoutHeap],
  bundle: true,
  platform: 'node',
  target: 'node22',
  minify: true,
  sourcemap: process.argv.includes('--sourcemap') ? 'inline' : false,
  legalComments: 'none',
  logLevel: 'warning',
  // Optional native helpers of ws and msgpackr: both do without.
  external: ['vscode', 'bufferutil', 'utf-8-validate', 'msgpackr-extract'],
};

await build({
  ...common,
  entryPoints: [join(here, 'src', 'extension.ts')],
  outfile: join(dist, 'extension.cjs'),
  format: 'cjs',
  // esbuild leaves `import.meta` empty in CommonJS.
  define: { 'import.meta.url': '__bundle_url' },
  banner: { js: 'const __bundle_url=require("node:url").pathToFileURL(__filename).href;' },
});

await build({
  ...common,
  entryPoints: [join(here, '..', 'sample-server', 'src', 'cli.ts')],
  outfile: join(dist, 'sample-server.mjs'),
  format: 'esm',
  // Some dependencies are CommonJS and call `require` of Node's own modules.
  banner: { js: 'import{createRequire as __r}from"node:module";const require=__r(import.meta.url);' },
});

for (const [file, budget] of Object.entries(BUDGETS)) {
  if (process.argv.includes('--sourcemap')) continue;
  const { size } = statSync(join(dist, file));
  console.log(`extension/dist/${file}  ${(size / 1024).toFixed(0)} KiB of ${budget / 1024}`);
  if (size > budget) throw new Error(`extension/dist/${file} has ${size} bytes, more than its budget of ${budget}`);
}
