import { randomBytes } from 'node:crypto';
import * as vscode from 'vscode';

/** The folder with the inspector's bundle, which `build.ts` puts beside the extension's own. */
export function inspectorFolder(extensionUri: vscode.Uri): vscode.Uri {
  return vscode.Uri.joinPath(extensionUri, 'dist', 'webview');
}

/**
 * The page that loads the inspector. It holds no data: everything comes by message. Nothing but the bundle may run,
 * nothing may be fetched; the toolkit reads the nonce from the `csp-nonce` element for the styles that it adds.
 */
export function inspectorHtml(webview: vscode.Webview, extensionUri: vscode.Uri): string {
  const nonce = randomBytes(18).toString('base64');
  const folder = inspectorFolder(extensionUri);
  const script = webview.asWebviewUri(vscode.Uri.joinPath(folder, 'inspector.js')).toString();
  const style = webview.asWebviewUri(vscode.Uri.joinPath(folder, 'inspector.css')).toString();
  const policy = [
    `default-src 'none'`,
    `script-src 'nonce-${nonce}'`,
    `style-src 'nonce-${nonce}' ${webview.cspSource}`,
    `img-src ${webview.cspSource} data:`,
    `font-src ${webview.cspSource}`,
    'worker-src blob:',
    `base-uri 'none'`,
    `form-action 'none'`,
  ].join('; ');
  return `<!doctype html>
<html lang="${escapeAttribute(vscode.env.language)}">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${escapeAttribute(policy)}">
<meta property="csp-nonce" content="${nonce}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Syncscope</title>
<link rel="stylesheet" nonce="${nonce}" href="${escapeAttribute(style)}">
</head>
<body>
<div id="root"></div>
<script type="module" nonce="${nonce}" src="${escapeAttribute(script)}"></script>
</body>
</html>`;
}

function escapeAttribute(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('"', '&quot;').replaceAll('<', '&lt;');
}
