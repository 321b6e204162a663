import type * as vscode from 'vscode';
import type { RecentCaptures } from './capture-files/recent.ts';
import type { CapturesView } from './capture-files/view.ts';
import type { LivePanels } from './live/panels.ts';
import type { SampleServer } from './server/sample-server.ts';
import type { SessionStore } from './sessions/store.ts';

/** Everything that commands work on; made once at activation. */
export interface App {
  readonly context: vscode.ExtensionContext;
  readonly log: vscode.LogOutputChannel;
  readonly server: SampleServer;
  readonly store: SessionStore;
  readonly panels: LivePanels;
  readonly recent: RecentCaptures;
  readonly captures: CapturesView;
}
