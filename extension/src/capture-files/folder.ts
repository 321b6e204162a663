import * as vscode from 'vscode';
import { readSettings } from '../settings.ts';

/** Where recordings go: the folder of the setting inside the workspace, else the extension's own storage. */
export function recordingFolder(context: vscode.ExtensionContext): vscode.Uri {
  const workspace = vscode.workspace.workspaceFolders?.[0];
  const { captureFolder } = readSettings(workspace?.uri);
  if (captureFolder !== '' && workspace?.uri.scheme === 'file') {
    return vscode.Uri.joinPath(workspace.uri, captureFolder);
  }
  return storedCaptures(context);
}

/** Recordings in the extension's own storage, apart for each workspace. */
export function storedCaptures(context: vscode.ExtensionContext): vscode.Uri {
  return vscode.Uri.joinPath(context.storageUri ?? context.globalStorageUri, 'captures');
}
