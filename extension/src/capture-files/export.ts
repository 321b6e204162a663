import { basename } from 'node:path';
import * as vscode from 'vscode';

const FILTERS = { Capture: ['mcap'] };

/** Copies a capture file to where the user chooses, or to `target`. Returns where, `undefined` where they chose nothing. */
export async function exportFile(uri: vscode.Uri, target?: vscode.Uri): Promise<vscode.Uri | undefined> {
  const chosen = target ?? (await askTarget(basename(uri.path), uri));
  if (chosen && chosen.toString() !== uri.toString()) {
    await vscode.workspace.fs.copy(uri, chosen, { overwrite: true });
  }
  return chosen;
}

/** Writes a capture that is in memory to where the user chooses, or to `target`. */
export async function exportBytes(
  bytes: () => Promise<Uint8Array>,
  name: string,
  target?: vscode.Uri,
): Promise<vscode.Uri | undefined> {
  const chosen = target ?? (await askTarget(name));
  if (chosen) await vscode.workspace.fs.writeFile(chosen, await bytes());
  return chosen;
}

async function askTarget(name: string, beside?: vscode.Uri): Promise<vscode.Uri | undefined> {
  const folder = vscode.workspace.workspaceFolders?.[0]?.uri ?? (beside && vscode.Uri.joinPath(beside, '..'));
  return await vscode.window.showSaveDialog({
    filters: FILTERS,
    saveLabel: vscode.l10n.t('Export'),
    ...(folder ? { defaultUri: vscode.Uri.joinPath(folder, name) } : {}),
  });
}
