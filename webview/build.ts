import { copyFileSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build, type Plugin } from 'esbuild';

/**
 * `node webview/build.ts`: the inspector, in `webview/dist`.
 *
 *     inspector.js, inspector.css   loaded by a webview of VS Code
 *     page/                         the same for a browser, with index.html and the worker that holds the capture
 */
const here = dirname(fileURLToPath(import.meta.url));
const dist = join(here, 'dist');
const page = join(dist, 'page');

/** Bytes of what a webview loads. */
const BUDGET = 900 * 1024;

const PAGE_HTML = `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8" />
    <meta name="viewport" content="width=device-width, initial-scale=1" />
    <meta name="color-scheme" content="dark light" />
    <meta name="referrer" content="no-referrer" />
    <title>Syncscope</title>
    <link rel="icon" href="data:," />
    <link rel="stylesheet" href="inspector.css" />
  </head>
  <body>
    <div id="root"></div>
    <noscript>The inspector needs JavaScript.</noscript>
    <script src="inspector.js"></script>
  </body>
</html>
`;

/**
 * The toolkit's helpers find out about `:focus-visible` by putting an inline style into the page, which a page's content
 * security policy refuses and reports. Every browser that runs this knows the selector.
 */
const focusVisible: Plugin = {
  name: 'focus-visible',
  setup(esbuild) {
    esbuild.onLoad({ filter: /fast-web-utilities[\\/]dist[\\/]dom\.js$/ }, ({ path }) => {
      const source = readFileSync(path, 'utf8');
      const head = 'export function canUseFocusVisible() {';
      if (!source.includes(head)) throw new Error(`${path} has no canUseFocusVisible any more`);
      return { contents: source.replace(head, `${head} return true;`), loader: 'js' };
    });
  },
};

const withSourceMap = process.argv.includes('--sourcemap');

const common = {
  bundle: true,
  minify: true,
  platform: 'browser',
  target: ['es2022', 'chrome120'],
  legalComments: 'none',
  logLevel: 'warning',
  sourcemap: withSourceMap ? 'inline' : false,
  jsx: 'automatic',
  // The usual build tries out at load whether it may make functions from text; the page's policy forbids and reports it.
  alias: { msgpackr: 'msgpackr/index-no-eval' },
  define: { 'process.env.NODE_ENV': '"production"' },
} as const;

// Made beside what is there and put in its place at the end: a page that is being served is never half a page.
const made = join(dist, `page-${process.pid}`);
mkdirSync(made, { recursive: true });
process.on('exit', () => rmSync(made, { recursive: true, force: true }));

await build({
  ...common,
  entryPoints: { inspector: join(here, 'src', 'app', 'main.tsx') },
  outdir: made,
  format: 'iife',
  plugins: [focusVisible],
});

await build({
  ...common,
  entryPoints: { worker: join(here, 'src', 'worker', 'index.ts') },
  outdir: made,
  format: 'esm',
});

writeFileSync(join(made, 'index.html'), PAGE_HTML);

const { size } = statSync(join(made, 'inspector.js'));
if (!withSourceMap && size > BUDGET) throw new Error(`inspector.js is ${size} bytes, over its budget of ${BUDGET}`);
mkdirSync(page, { recursive: true });
for (const file of ['inspector.js', 'inspector.css', 'worker.js', 'index.html']) {
  if (file.startsWith('inspector.')) copyFileSync(join(made, file), join(dist, file));
  renameSync(join(made, file), join(page, file));
}
console.log(
  `inspector.js ${(size / 1024).toFixed(0)} KiB, worker.js ${(statSync(join(page, 'worker.js')).size / 1024).toFixed(0)} KiB`,
);
