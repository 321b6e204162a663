import * as vscode from 'vscode';

const KEY = 'recentCaptures';
const MOST = 20;

/** Captures opened in this workspace, the last one first. Lives in the workspace's own storage. */
export class RecentCaptures implements vscode.Disposable {
  readonly #memento: vscode.Memento;
  readonly #changed = new vscode.EventEmitter<void>();
  readonly onDidChange = this.#changed.event;

  constructor(memento: vscode.Memento) {
    this.#memento = memento;
  }

  /** What was stored is not believed: anything but a list of texts is no list. */
  list(): vscode.Uri[] {
    const stored: unknown = this.#memento.get(KEY);
    if (!Array.isArray(stored)) return [];
    return stored.filter((one): one is string => typeof one === 'string').map((one) => vscode.Uri.parse(one));
  }

  add(uri: vscode.Uri): void {
    const added = uri.toString();
    const others = this.list()
      .map((one) => one.toString())
      .filter((one) => one !== added);
    void this.#memento.update(KEY, [added, ...others].slice(0, MOST)).then(() => this.#changed.fire());
  }

  dispose(): void {
    this.#changed.dispose();
  }
}
