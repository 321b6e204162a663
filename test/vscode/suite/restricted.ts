/// <reference types="mocha" />
import assert from 'node:assert/strict';
import * as vscode from 'vscode';
import { CAPTURE_EDITOR, COMMANDS, EXTENSION_ID } from '../../../extension/src/ids.ts';
import { requireTrust } from '../../../extension/src/trust.ts';
import { api, closeAllTabs, tabs, until } from './wait.ts';

/** A command can be run by anyone, whatever the manifest disables: the code itself must refuse. */
export function restrictedTests(): void {
  describe('Restricted Mode', () => {
    after(closeAllTabs);

    it('is on', () => assert.equal(vscode.workspace.isTrusted, false));

    it('refuses with TRUST_REQUIRED', () => {
      assert.throws(() => requireTrust('This'), { code: 'TRUST_REQUIRED', message: /^This needs a trusted workspace/ });
    });

    const address = { url: 'http://127.0.0.1:9', token: '00'.repeat(32) };
    for (const [id, argument] of [
      [COMMANDS.startServer, undefined],
      [COMMANDS.startServerWithFault, 'corrupt:bot-2@3s'],
      [COMMANDS.attach, undefined],
      [COMMANDS.attachUrl, address],
      [COMMANDS.record, undefined],
      [COMMANDS.injectFault, { fault: 'corrupt', target: 'bot-2' }],
    ] as const) {
      it(`${id} does nothing`, async () => {
        assert.equal(await vscode.commands.executeCommand(id, argument), undefined);
        assert.deepEqual((await api()).sessions(), []);
      });
    }

    it('opens a capture', async () => {
      await vscode.commands.executeCommand(COMMANDS.openSampleCapture);
      const { extensionUri } = vscode.extensions.getExtension(EXTENSION_ID) ?? {};
      assert.ok(extensionUri);
      const sample = vscode.Uri.joinPath(extensionUri, 'media', 'sample.mcap').toString();
      const tab = await until('the editor', () =>
        tabs().find((one) => one.input instanceof vscode.TabInputCustom && one.input.uri.toString() === sample),
      );
      assert.ok(tab.input instanceof vscode.TabInputCustom);
      assert.equal(tab.input.viewType, CAPTURE_EDITOR);
    });
  });
}
