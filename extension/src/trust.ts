import { SyncError } from '@syncscope/protocol/errors';
import * as vscode from 'vscode';

/**
 * Throws `TRUST_REQUIRED` in Restricted Mode. Opening a capture never asks; whatever starts a program, opens a
 * connection or writes into the workspace does. The commands are disabled there too, but a command can be run by anyone.
 */
export function requireTrust(what: string): void {
  if (vscode.workspace.isTrusted) return;
  throw new SyncError(
    'TRUST_REQUIRED',
    vscode.l10n.t('{0} needs a trusted workspace. Captures can be opened without it.', what),
    { origin: 'setting' },
  );
}
