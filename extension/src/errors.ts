import { isSyncError } from '@syncscope/protocol/errors';
import * as vscode from 'vscode';
import { notification, plain } from './text.ts';

/** What people read: the message, and the stable code where there is one. */
export function errorText(error: unknown): string {
  if (isSyncError(error)) return `${error.message} (${error.code})`;
  return error instanceof Error ? error.message : String(error);
}

/** The same for a line of the log, where a line break would begin another. */
export function logged(error: unknown): string {
  return plain(errorText(error));
}

/** Tells the user of something that went wrong with what they asked for just now, with the way on. */
export async function showError(error: unknown, log: vscode.LogOutputChannel): Promise<void> {
  log.error(error instanceof Error ? error : String(error));
  if (isSyncError(error, 'TRUST_REQUIRED')) {
    const manage = vscode.l10n.t('Manage Workspace Trust');
    const choice = await vscode.window.showWarningMessage(notification(errorText(error)), manage);
    if (choice === manage) await vscode.commands.executeCommand('workbench.trust.manage');
    return;
  }
  const show = vscode.l10n.t('Show Log');
  const choice = await vscode.window.showErrorMessage(notification(errorText(error)), show);
  if (choice === show) log.show(true);
}
