import { describe, expect, it } from 'vitest';
import { findViolations } from './floors.ts';

function messages(path: string, text: string): string[] {
  return findViolations([{ path, text }]).map(({ line, message }) => `${line}: ${message}`);
}

const MERKLE = 'protocol-lib/src/merkle/tree.ts';

describe('imports', () => {
  it.each([
    ["import { a } from '../bytes/index.ts';", 'a lower floor'],
    ["import { a } from '../state/records.ts';", 'the same floor'],
    ["import { a } from './node.ts';", 'its own folder'],
    ["import { pack } from 'msgpackr/pack';", 'a package'],
  ])('allow %s (%s)', (text) => {
    expect(messages(MERKLE, text)).toEqual([]);
  });

  it.each([
    "import { a } from '../sync/index.ts';",
    "import type { A } from '../sync/index.ts';",
    "export * from '../sync/index.ts';",
    "const a = await import('../sync/index.ts');",
    "type A = import('../sync/index.ts').A;",
  ])('refuse upwards: %s', (text) => {
    expect(messages(MERKLE, `\n${text}`)).toEqual(['2: merkle (floor 1) imports upwards from sync (floor 3)']);
  });

  it('refuse Node and node/ in the core, and allow them in node/ and in tests', () => {
    const text = "import 'node:fs';\nimport 'path';\nimport { b } from '../node/clock.ts';";
    expect(messages(MERKLE, text)).toHaveLength(3);
    expect(messages('protocol-lib/src/node/file.ts', text)).toEqual([]);
    expect(messages('protocol-lib/src/merkle/tree.test.ts', text)).toEqual([]);
  });

  it('refuse a circle of values, not one of types', () => {
    const files = (kind: string) => [
      { path: MERKLE, text: "import { a } from '../state/index.ts';" },
      { path: 'protocol-lib/src/state/index.ts', text: "export * from './records.ts';" },
      { path: 'protocol-lib/src/state/records.ts', text: `import ${kind}{ b } from '../merkle/tree.ts';` },
    ];
    expect(findViolations(files(''))).toHaveLength(3);
    expect(findViolations(files('type '))).toEqual([]);
  });

  it('ask for a floor for a new folder', () => {
    expect(messages('protocol-lib/src/gossip/a.ts', "import '../state/index.ts';")[0]).toContain('has no floor');
  });

  it('keep packages apart', () => {
    expect(messages('webview/src/app/a.ts', "import '../../../protocol-lib/src/state/index.ts';")).toHaveLength(1);
    expect(messages('sample-server/src/a.ts', "import '@syncscope/inspector/rpc';")).toHaveLength(1);
    expect(messages('webview/src/app/a.ts', "import '@syncscope/protocol/state';")).toEqual([]);
    expect(messages('webview/src/app/a.ts', "import '@syncscope/protocol/node';\nimport 'node:fs';")).toHaveLength(2);
  });

  it('keep the toolkit in webview/src/ui and vscode in the extension', () => {
    const toolkit = "import { x } from '@vscode/webview-ui-toolkit';";
    expect(messages('webview/src/ui/button.ts', toolkit)).toEqual([]);
    expect(messages('webview/src/tabs/state.tsx', toolkit)).toHaveLength(1);
    expect(messages('extension/src/main.ts', "import * as vscode from 'vscode';")).toEqual([]);
    expect(messages('webview/host/serve.ts', "import * as vscode from 'vscode';")).toHaveLength(1);
  });
});

describe('what stands beside the floors', () => {
  const BROWSER = 'protocol-lib/src/browser/a.ts';

  it('lets browser/ use a browser and every floor, and nothing of Node', () => {
    expect(messages(BROWSER, "indexedDB.open('a'); navigator.locks; setTimeout(() => {}, Date.now());")).toEqual([]);
    expect(messages(BROWSER, "import { openDB } from 'idb'; import { a } from '../simulator/a.ts';")).toEqual([]);
    expect(messages(BROWSER, "import { readFileSync } from 'node:fs';")).toHaveLength(1);
    expect(messages(BROWSER, "import { a } from '../node/a.ts';")).toHaveLength(1);
  });

  it('lets no floor import browser/, and nobody else IndexedDB', () => {
    expect(messages(MERKLE, "import { a } from '../browser/a.ts';")).toHaveLength(1);
    expect(messages('protocol-lib/src/offline/a.ts', "import { openDB } from 'idb';")).toHaveLength(1);
  });
});

describe('the core', () => {
  it.each([
    'const t = Date.now();',
    "const t = Date['now']();",
    'const t = new Date();',
    'const r = Math.random();',
    'setTimeout(() => {}, 1);',
    'export const a = performance.now();',
    'const b = Buffer.from([]);',
    'if (process.env.X) {}',
    'const c = { process };',
    'globalThis.x = 1;',
    'document.title;',
    'console.log(1);',
    'let b: Buffer;',
  ])('refuses %s', (text) => {
    expect(messages(MERKLE, text)).toHaveLength(1);
    expect(messages('protocol-lib/src/node/a.ts', text)).toEqual([]);
  });

  it.each([
    'new Date(0).toISOString();',
    'const a = { process: 1 }.process;',
    'interface A { readonly location: string; history(): void }',
    'function f(process: number, { location }: { location: string }) { return process + location; }',
    '// Date.now() would differ between replicas\nconst text = "setTimeout(1)";',
    'import { performance } from "./own.ts"; performance.now();',
    'class A { history() { return this.history; } }',
    'new TextEncoder();',
  ])('allows %s', (text) => {
    expect(messages(MERKLE, text)).toEqual([]);
  });
});
