import type { QueryServer } from '@syncscope/inspector/rpc';
import * as vscode from 'vscode';
import { LIVE_PANEL } from '../ids.ts';
import { commandHandler } from '../inspector/commands.ts';
import { serveInspector } from '../inspector/panel.ts';
import { exportLive } from './export.ts';
import type { LiveSession } from './live-session.ts';

interface OpenPanel {
  readonly panel: vscode.WebviewPanel;
  readonly server: QueryServer;
}

/** The inspector panels on attached sessions: one a session. */
export class LivePanels implements vscode.Disposable {
  readonly #extensionUri: vscode.Uri;
  readonly #open = new Map<LiveSession, OpenPanel>();
  readonly #closed = new vscode.EventEmitter<LiveSession>();
  /** The user closed the panel of a session. */
  readonly onDidClose = this.#closed.event;

  constructor(extensionUri: vscode.Uri) {
    this.#extensionUri = extensionUri;
  }

  /** The session whose panel has the focus. */
  get active(): LiveSession | undefined {
    for (const [session, { panel }] of this.#open) if (panel.active) return session;
    return undefined;
  }

  isOpen(session: LiveSession): boolean {
    return this.#open.has(session);
  }

  /** Shows a session's panel, at a record where one is given. */
  show(session: LiveSession, position?: number): void {
    const open = this.#open.get(session) ?? this.#create(session);
    open.panel.reveal(undefined, false);
    if (position !== undefined) open.server.reveal(position);
  }

  close(session: LiveSession): void {
    this.#open.get(session)?.panel.dispose();
  }

  dispose(): void {
    for (const { panel } of [...this.#open.values()]) panel.dispose();
    this.#closed.dispose();
  }

  #create(session: LiveSession): OpenPanel {
    const panel = vscode.window.createWebviewPanel(LIVE_PANEL, session.title, vscode.ViewColumn.Active, {
      retainContextWhenHidden: false,
    });
    const media = vscode.Uri.joinPath(this.#extensionUri, 'media');
    panel.iconPath = {
      light: vscode.Uri.joinPath(media, 'panel-light.svg'),
      dark: vscode.Uri.joinPath(media, 'panel-dark.svg'),
    };
    const server = serveInspector(panel, this.#extensionUri, session.capture, {
      session: session.state,
      onCommand: commandHandler({
        save: () => exportLive(session),
        inject: (spec) => session.inject(spec),
        stop: async () => session.detach(),
      }),
    });
    // The status changes twice a second; the inspector hears of what it cannot know itself.
    let said = JSON.stringify(session.state);
    const subscription = session.onDidChange(() => {
      const state = session.state;
      const text = JSON.stringify(state);
      if (text === said) return;
      said = text;
      server.announce(state);
    });
    const open = { panel, server };
    this.#open.set(session, open);
    panel.onDidDispose(() => {
      subscription.dispose();
      this.#open.delete(session);
      this.#closed.fire(session);
    });
    return open;
  }
}
