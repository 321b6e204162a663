import { SyncError } from '@syncscope/protocol/errors';
import * as vscode from 'vscode';
import type { App } from '../app.ts';
import { exportFile } from '../capture-files/export.ts';
import { CAPTURE_EDITOR } from '../ids.ts';
import { exportLive } from '../live/export.ts';
import { chooseLive, nodeOf } from './choose.ts';

/** Opens a capture in the inspector: a file of the explorer, or one that is chosen. */
export async function openCapture(argument: unknown): Promise<void> {
  const file = argument instanceof vscode.Uri ? argument : await askFile();
  if (file) await vscode.commands.executeCommand('vscode.openWith', file, CAPTURE_EDITOR);
}

/** The capture that comes with the extension. */
export async function openSampleCapture(app: App): Promise<void> {
  await openCapture(vscode.Uri.joinPath(app.context.extensionUri, 'media', 'sample.mcap'));
}

/**
 * Writes a capture to where the user chooses: that of a tree node, of the editor in front, or of an attached session.
 * `target` saves the question. Returns where it was written.
 */
export async function exportCapture(app: App, argument: unknown, target: unknown): Promise<vscode.Uri | undefined> {
  const to = target instanceof vscode.Uri ? target : undefined;
  const file = fileOf(argument) ?? (nodeOf(argument) ? undefined : captureInFront());
  if (file) return await exportFile(file, to);
  const live = await chooseLive(app, argument, () => true);
  return live && (await exportLive(live, to));
}

function fileOf(argument: unknown): vscode.Uri | undefined {
  if (argument instanceof vscode.Uri) return argument.path.endsWith('.mcap') ? argument : undefined;
  if (typeof argument !== 'object' || argument === null || !('uri' in argument)) return undefined;
  return argument.uri instanceof vscode.Uri ? argument.uri : undefined;
}

function captureInFront(): vscode.Uri | undefined {
  const input = vscode.window.tabGroups.activeTabGroup.activeTab?.input;
  return input instanceof vscode.TabInputCustom && input.viewType === CAPTURE_EDITOR ? input.uri : undefined;
}

async function askFile(): Promise<vscode.Uri | undefined> {
  const folder = vscode.workspace.workspaceFolders?.[0]?.uri;
  const chosen = await vscode.window.showOpenDialog({
    title: vscode.l10n.t('Open Capture'),
    filters: { [vscode.l10n.t('Captures')]: ['mcap'] },
    ...(folder ? { defaultUri: folder } : {}),
  });
  const [file] = chosen ?? [];
  if (file && !file.path.toLowerCase().endsWith('.mcap')) {
    throw new SyncError('CAPTURE_NAME', vscode.l10n.t('{0} does not end in .mcap.', file.path), {
      origin: 'capture',
      place: { file: file.path },
    });
  }
  return file;
}
