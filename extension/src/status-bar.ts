import * as vscode from 'vscode';
import type { SessionStore } from './sessions/store.ts';
import { REVEAL_COMMAND } from './sessions/view.ts';

/** One short item while a session is attached: its verdict. A click leads to what it speaks of. */
export class StatusBar implements vscode.Disposable {
  readonly #item = vscode.window.createStatusBarItem('syncscope.verdict', vscode.StatusBarAlignment.Left, 10);
  readonly #store: SessionStore;
  readonly #subscription: vscode.Disposable;

  constructor(store: SessionStore) {
    this.#store = store;
    this.#item.name = vscode.l10n.t('Syncscope: Verdict');
    this.#subscription = store.onDidChange(() => this.#update());
  }

  dispose(): void {
    this.#subscription.dispose();
    this.#item.dispose();
  }

  #update(): void {
    const live = this.#store.live.find((session) => session.isAttached);
    if (!live) {
      this.#item.hide();
      return;
    }
    const verdict = live.status?.verdict;
    const text = verdict?.text ?? vscode.l10n.t('attached');
    this.#item.text = `$(${live.recording ? 'record' : 'pulse'}) ${text.replaceAll('$(', '$ (')}`;
    this.#item.tooltip = `${live.title}: ${text}`;
    this.#item.backgroundColor =
      verdict?.level === 'error' ? new vscode.ThemeColor('statusBarItem.errorBackground') : undefined;
    this.#item.command = {
      command: REVEAL_COMMAND,
      title: vscode.l10n.t('Show'),
      arguments: [{ type: 'verdict', live }],
    };
    this.#item.show();
  }
}
