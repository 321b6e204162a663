import * as vscode from 'vscode';
import type { SessionStore } from './sessions/store.ts';
import { REVEAL_COMMAND } from './sessions/view.ts';
import { label, plain } from './text.ts';

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
    const live = this.#store.shown;
    if (!live) {
      this.#item.hide();
      return;
    }
    const verdict = live.status?.verdict;
    const text = verdict?.text ?? vscode.l10n.t('attached');
    this.#item.text = `$(${live.recording ? 'record' : 'pulse'}) ${label(text)}`;
    this.#item.tooltip = plain(`${live.title}: ${text}`);
    this.#item.backgroundColor =
      verdict?.level === 'error' ? new vscode.ThemeColor('statusBarItem.errorBackground') : undefined;
    // Without arguments, which VS Code forgets as soon as the text changes.
    this.#item.command = REVEAL_COMMAND;
    this.#item.show();
  }
}
