/// <reference types="mocha" />
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as vscode from 'vscode';
import { CAPTURE_EDITOR, COMMANDS } from '../../../extension/src/ids.ts';
import { api, closeAllTabs, tabs, until } from './wait.ts';

const JPEG_START = [0xff, 0xd8, 0xff, 0xe0, 0x00, 0x10, 0x4a, 0x46, 0x49, 0x46, 0x00, 0x01];

export function badInputTests(): void {
  describe('bad input', () => {
    const folder = () => {
      const [first] = vscode.workspace.workspaceFolders ?? [];
      assert.ok(first, 'no folder is open');
      return first.uri.fsPath;
    };

    afterEach(closeAllTabs);

    for (const [name, bytes] of [
      ['empty.mcap', new Uint8Array()],
      ['picture.mcap', new Uint8Array(JPEG_START)],
    ] as const) {
      it(`${name} opens as a page that says why not`, async () => {
        const file = vscode.Uri.file(join(folder(), name));
        writeFileSync(file.fsPath, bytes);
        await vscode.commands.executeCommand('vscode.openWith', file, CAPTURE_EDITOR);
        await until('the editor', () =>
          tabs().find((tab) => tab.input instanceof vscode.TabInputCustom && tab.input.uri.fsPath === file.fsPath),
        );
      });
    }

    it('a wrong token attaches to nothing', async () => {
      const address = { url: 'http://127.0.0.1:9', token: '00'.repeat(32) };
      assert.equal(await vscode.commands.executeCommand(COMMANDS.attachUrl, address), undefined);
      assert.deepEqual((await api()).sessions(), []);
    });

    for (const address of [{ url: 'file:///etc/passwd', token: '00'.repeat(32) }, { url: 7 }, 'nonsense', null]) {
      it(`${JSON.stringify(address)} attaches to nothing`, async () => {
        assert.equal(await vscode.commands.executeCommand(COMMANDS.attachUrl, address), undefined);
        assert.deepEqual((await api()).sessions(), []);
      });
    }

    it('a fault that is none does not start the server', async () => {
      const options = { faults: ['--help; rm'] };
      assert.equal(await vscode.commands.executeCommand(COMMANDS.startServer, options), undefined);
      assert.deepEqual((await api()).sessions(), []);
    });

    it('a setting out of range is refused by its name, and nothing starts', async () => {
      const settings = vscode.workspace.getConfiguration();
      await settings.update('syncscope.sampleServer.bots', 1_000, vscode.ConfigurationTarget.Workspace);
      try {
        assert.equal(await vscode.commands.executeCommand(COMMANDS.startServer), undefined);
      } finally {
        await settings.update('syncscope.sampleServer.bots', undefined, vscode.ConfigurationTarget.Workspace);
      }
      assert.deepEqual((await api()).sessions(), []);
    });
  });
}
