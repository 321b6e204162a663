import { resolve } from 'node:path';
import { run } from './process.ts';

/** `npm run build`: the inspector's page, the `syncscope` command, then the extension that carries both. */
const root = resolve(import.meta.dirname, '..');
for (const script of ['webview/build.ts', 'webview/host/build.ts', 'extension/build.ts']) {
  const { code } = await run('node', [script], { cwd: root });
  if (code !== 0) {
    console.error(`${script} failed`);
    process.exit(code);
  }
}
