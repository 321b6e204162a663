import type { CommandHandler } from '@syncscope/inspector/rpc';
import { SyncError, unreachable } from '@syncscope/protocol/errors';
import type { FaultSpec, SourceLocation } from '@syncscope/protocol/trace';
import * as vscode from 'vscode';
import { COMMANDS } from '../ids.ts';
import { isPathInside } from '../path-inside.ts';
import { requireTrust } from '../trust.ts';

/** What only the one who holds the capture can do. A file has neither faults nor an end. */
export interface CaptureOwner {
  save(): Promise<unknown>;
  inject?(spec: FaultSpec): Promise<void>;
  stop?(): Promise<void>;
}

/** Does what the inspector asks for; an error is shown there, where it was asked. */
export function commandHandler(owner: CaptureOwner): CommandHandler {
  return async (command) => {
    switch (command.command) {
      case 'open':
        await vscode.commands.executeCommand(COMMANDS.openCapture);
        return;
      case 'save':
        await owner.save();
        return;
      case 'stop':
        if (!owner.stop) throw notLive(vscode.l10n.t('A file has nothing to stop.'));
        await owner.stop();
        return;
      case 'fault':
        if (!owner.inject) throw notLive(vscode.l10n.t('A fault needs a live session; this is a file.'));
        await owner.inject(command.spec);
        return;
      case 'openSource':
        await openSource(command.source);
        return;
      case 'copy':
        await vscode.env.clipboard.writeText(command.text);
        return;
      case 'setViewState':
        // The inspector keeps its own view through `setState`, which VS Code stores with the editor.
        return;
      default:
        unreachable(command);
    }
  };
}

function notLive(message: string): SyncError {
  return new SyncError('NOT_LIVE', message, { origin: 'query' });
}

/** Opens a line that a capture names. The capture is not believed: only files inside the workspace are opened. */
async function openSource(source: SourceLocation): Promise<void> {
  requireTrust(vscode.l10n.t('Opening the source that a capture names'));
  const uri = await findInWorkspace(source.file);
  const line = Math.max(0, source.line - 1);
  const at = new vscode.Position(line, Math.max(0, source.column - 1));
  await vscode.window.showTextDocument(uri, { selection: new vscode.Range(at, at), preview: true });
}

async function findInWorkspace(file: string): Promise<vscode.Uri> {
  if (isPathInside(file)) {
    for (const folder of vscode.workspace.workspaceFolders ?? []) {
      const uri = vscode.Uri.joinPath(folder.uri, file);
      const isFile = await Promise.resolve(vscode.workspace.fs.stat(uri)).then(
        ({ type }) => (type & vscode.FileType.File) !== 0,
        () => false,
      );
      if (isFile) return uri;
    }
  }
  throw new SyncError(
    'IMPORT_PATH_UNSAFE',
    vscode.l10n.t('{0} is not a file of this workspace.', JSON.stringify(file.slice(0, 200))),
    { origin: 'capture', place: { file } },
  );
}
