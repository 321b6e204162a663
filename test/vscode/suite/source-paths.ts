/// <reference types="mocha" />
import assert from 'node:assert/strict';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import * as vscode from 'vscode';
import { commandHandler } from '../../../extension/src/inspector/commands.ts';
import { closeAllTabs, tabs } from './wait.ts';

/** What an inspector's view asks of its host when a source is clicked, which a capture has named. */
function openSource(file: string, line = 2): Promise<unknown> {
  const handle = commandHandler({ save: async () => undefined });
  return Promise.resolve(handle({ command: 'openSource', source: { file, line, column: 1 } }));
}

function folder(): string {
  const [first] = vscode.workspace.workspaceFolders ?? [];
  assert.ok(first, 'no folder is open');
  return first.uri.fsPath;
}

/** A capture names files, and is not believed (T8). */
export function sourcePathTests(): void {
  describe('a source that a capture names', () => {
    /** One that is there, so that only the refusal keeps it closed. */
    const outside = () => join(dirname(folder()), 'outside-of-the-workspace.ts');

    before(() => {
      mkdirSync(join(folder(), 'src'), { recursive: true });
      writeFileSync(join(folder(), 'src', 'rules.ts'), 'first\nsecond\n');
      writeFileSync(outside(), 'nobody is to see this\n');
    });
    after(() => rmSync(outside()));
    afterEach(closeAllTabs);

    it('opens at its line where it is in the workspace', async () => {
      await openSource('src/rules.ts');
      const editor = vscode.window.activeTextEditor;
      assert.equal(editor?.document.uri.fsPath, join(folder(), 'src', 'rules.ts'));
      assert.equal(editor.selection.active.line, 1);
    });

    const unsafe: readonly [string, () => string][] = [
      ['a path that leads out', () => '../outside-of-the-workspace.ts'],
      ['one that leads out further down', () => 'src/../../outside-of-the-workspace.ts'],
      ['one with backward slashes', () => '..\\outside-of-the-workspace.ts'],
      ['a whole path', outside],
      ['a whole path into the workspace', () => join(folder(), 'src', 'rules.ts')],
      ['a drive', () => 'C:\\x'],
      ['an address', () => `${vscode.Uri.file(outside())}`],
      ['NUL', () => 'src/rules.ts\0.png'],
      ['300 characters', () => 'x'.repeat(300)],
      ['a folder', () => 'src'],
      ['nothing', () => ''],
      ['what is not there', () => 'src/other.ts'],
    ];
    for (const [what, path] of unsafe) {
      it(`is refused and opens nothing: ${what}`, async () => {
        await assert.rejects(openSource(path()), { code: 'IMPORT_PATH_UNSAFE' });
        assert.deepEqual(tabs(), []);
      });
    }
  });
}

/** In Restricted Mode not even a path into the workspace is opened. */
export function sourceTrustTests(): void {
  it('a source that a capture names is not opened', async () => {
    await assert.rejects(openSource('notes.txt'), { code: 'TRUST_REQUIRED' });
  });
}
