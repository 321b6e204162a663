import { basename } from 'node:path';
import type { SessionState } from '@syncscope/inspector/rpc';
import * as vscode from 'vscode';
import { errorText, logged } from '../errors.ts';
import { CAPTURE_EDITOR } from '../ids.ts';
import { commandHandler } from '../inspector/commands.ts';
import { serveInspector } from '../inspector/panel.ts';
import { CaptureDocument } from './document.ts';
import { exportFile } from './export.ts';
import type { RecentCaptures } from './recent.ts';

/** Shows capture files in the inspector. Works in Restricted Mode: a capture is data, nothing of it is run. */
export class CaptureEditor implements vscode.CustomReadonlyEditorProvider<CaptureDocument> {
  readonly #extensionUri: vscode.Uri;
  readonly #recent: RecentCaptures;
  readonly #log: vscode.LogOutputChannel;

  constructor(extensionUri: vscode.Uri, recent: RecentCaptures, log: vscode.LogOutputChannel) {
    this.#extensionUri = extensionUri;
    this.#recent = recent;
    this.#log = log;
  }

  register(): vscode.Disposable {
    return vscode.window.registerCustomEditorProvider(CAPTURE_EDITOR, this, {
      supportsMultipleEditorsPerDocument: true,
      webviewOptions: { retainContextWhenHidden: false, enableFindWidget: false },
    });
  }

  openCustomDocument(uri: vscode.Uri): CaptureDocument {
    return new CaptureDocument(uri);
  }

  /** The inspector is there at once and shows progress; a file that is no capture is told of in it, never a blank tab. */
  resolveCustomEditor(document: CaptureDocument, panel: vscode.WebviewPanel): void {
    const session: SessionState = {
      state: 'opening',
      source: 'file',
      title: basename(document.uri.path),
      place: document.uri.fsPath,
      mayInject: false,
      targets: [],
      recording: false,
    };
    const server = serveInspector(panel, this.#extensionUri, undefined, {
      session,
      onCommand: commandHandler({ save: () => exportFile(document.uri) }),
    });
    document
      .open((progress) => server.announce({ ...session, progress }))
      .then(
        (capture) => {
          server.replace(capture, { ...session, state: 'open' });
          this.#recent.add(document.uri);
        },
        (error: unknown) => {
          this.#log.error(`${document.uri.toString()}: ${logged(error)}`);
          server.announce({ ...session, state: 'failed', note: errorText(error) });
          server.fail(error);
        },
      );
  }
}
