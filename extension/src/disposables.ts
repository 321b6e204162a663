import type * as vscode from 'vscode';

/** What ends together. Anything added after the end is disposed of at once, so that nothing stays open. */
export class Disposables implements vscode.Disposable {
  readonly #items = new Set<vscode.Disposable>();
  #isDisposed = false;

  get isDisposed(): boolean {
    return this.#isDisposed;
  }

  /** How many are still open. */
  get size(): number {
    return this.#items.size;
  }

  add<T extends vscode.Disposable>(item: T): T {
    if (this.#isDisposed) item.dispose();
    else this.#items.add(item);
    return item;
  }

  /** Disposes of one item before the others. */
  end(item: vscode.Disposable): void {
    if (this.#items.delete(item)) item.dispose();
  }

  /** In reverse order of adding; a second call does nothing. */
  dispose(): void {
    if (this.#isDisposed) return;
    this.#isDisposed = true;
    const items = [...this.#items].reverse();
    this.#items.clear();
    for (const item of items) item.dispose();
  }
}
