import { jsonSafePort, type Port } from '@syncscope/inspector/rpc';
import type * as vscode from 'vscode';

/**
 * The channel to the inspector in a webview. A message to a hidden webview is lost; the inspector says `ready`
 * whenever it is loaded again and is then told everything it must know.
 */
export function webviewPort(webview: vscode.Webview): Port {
  return jsonSafePort({
    post(message) {
      // Resolves to false where the webview is hidden, rejects where it is gone: in both cases nobody waits for it.
      Promise.resolve(webview.postMessage(message)).catch(() => undefined);
    },
    onMessage(listener) {
      const subscription = webview.onDidReceiveMessage(listener);
      return () => subscription.dispose();
    },
  });
}
