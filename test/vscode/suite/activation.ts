/// <reference types="mocha" />
/// <reference types="vscode" />
import assert from 'node:assert/strict';
import * as vscode from 'vscode';
import { COMMANDS, EXTENSION_ID } from '../../../extension/src/ids.ts';

export function activationTests(): void {
  describe('activation', () => {
    it('activates', async () => {
      const extension = vscode.extensions.getExtension(EXTENSION_ID);
      assert.ok(extension, `${EXTENSION_ID} is not installed here`);
      await extension.activate();
      assert.equal(extension.isActive, true);
    });

    it('registers every command', async () => {
      const known = new Set(await vscode.commands.getCommands(true));
      assert.deepEqual(
        Object.values(COMMANDS).filter((id) => !known.has(id)),
        [],
      );
    });
  });
}
