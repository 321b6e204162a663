import * as vscode from 'vscode';
import { makeApi, type SyncscopeApi } from './api.ts';
import type { App } from './app.ts';
import { CaptureEditor } from './capture-files/editor.ts';
import { storedCaptures } from './capture-files/folder.ts';
import { RecentCaptures } from './capture-files/recent.ts';
import { CapturesView } from './capture-files/view.ts';
import { registerCommands } from './commands/register.ts';
import { CONTEXT_KEYS, type ContextKey } from './ids.ts';
import type { LiveSession } from './live/live-session.ts';
import { LivePanels } from './live/panels.ts';
import { SampleServer } from './server/sample-server.ts';
import { SessionStore } from './sessions/store.ts';
import { SessionsView } from './sessions/view.ts';
import { StatusBar } from './status-bar.ts';

/** Registers and returns: no file, folder or socket is touched before somebody looks or asks. */
export function activate(context: vscode.ExtensionContext): SyncscopeApi {
  const own = <T extends vscode.Disposable>(item: T): T => {
    context.subscriptions.push(item);
    return item;
  };
  const log = own(vscode.window.createOutputChannel('Syncscope', { log: true }));
  const program = vscode.Uri.joinPath(context.extensionUri, 'dist', 'sample-server.mjs').fsPath;
  const recent = own(new RecentCaptures(context.workspaceState));
  const app: App = {
    context,
    log,
    server: own(new SampleServer(program, log)),
    store: own(new SessionStore(log)),
    panels: own(new LivePanels(context.extensionUri)),
    recent,
    captures: own(new CapturesView(recent, storedCaptures(context))),
  };
  own(new SessionsView(app.store).register());
  own(app.captures.register());
  own(new CaptureEditor(context.extensionUri, recent, log).register());
  own(new StatusBar(app.store));
  own(registerCommands(app));
  followState(app, own);
  return makeApi(app.store);
}

/** Keeps the context keys true, and lets go of sessions that nobody looks at or records any more. */
function followState(app: App, own: (item: vscode.Disposable) => void): void {
  const set = contextSetter();
  own(app.server.onDidChange(() => set(CONTEXT_KEYS.serverRunning, app.server.isRunning)));
  own(
    app.store.onDidChange(() => {
      const { live } = app.store;
      for (const session of live) if (isDone(app, session)) app.store.remove(session);
      set(
        CONTEXT_KEYS.attached,
        live.some((session) => session.isAttached),
      );
      set(
        CONTEXT_KEYS.recording,
        live.some((session) => session.recording !== undefined),
      );
    }),
  );
  own(
    app.panels.onDidClose((session) => {
      if (!session.recording) app.store.remove(session);
    }),
  );
  own(vscode.workspace.onDidGrantWorkspaceTrust(() => void app.store.refresh()));
}

/** Over, its file closed, and nobody looks at it. */
function isDone(app: App, session: LiveSession): boolean {
  return !session.isAttached && !session.recording && !app.panels.isOpen(session);
}

/** Sets a context key where that changes it. */
function contextSetter(): (key: ContextKey, value: boolean) => void {
  const values = new Map<ContextKey, boolean>();
  return (key, value) => {
    if (values.get(key) === value) return;
    values.set(key, value);
    void vscode.commands.executeCommand('setContext', key, value);
  };
}
