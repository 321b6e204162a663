import { type CommandHandler, type QueryServer, type SessionState, serveQuery } from '@syncscope/inspector/rpc';
import type { CaptureQuery } from '@syncscope/protocol/capture';
import type * as vscode from 'vscode';
import { inspectorFolder, inspectorHtml } from './html.ts';
import { webviewPort } from './port.ts';

/**
 * Loads the inspector into a panel and answers it from `query` until the panel is closed. The panel keeps no context
 * while hidden; where the user was is the inspector's own to restore.
 */
export function serveInspector(
  panel: vscode.WebviewPanel,
  extensionUri: vscode.Uri,
  query: CaptureQuery | undefined,
  options: { readonly session: SessionState; readonly onCommand: CommandHandler },
): QueryServer {
  panel.webview.options = { enableScripts: true, localResourceRoots: [inspectorFolder(extensionUri)] };
  const server = serveQuery(query, webviewPort(panel.webview), options);
  panel.onDidDispose(() => server.close());
  panel.webview.html = inspectorHtml(panel.webview, extensionUri);
  return server;
}
