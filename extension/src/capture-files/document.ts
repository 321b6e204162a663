import { type CaptureQuery, openCapture } from '@syncscope/protocol/capture';
import type * as vscode from 'vscode';
import { captureSource, type OpenSource } from './byte-source.ts';

/** From 0 to 1. */
export type Progress = (done: number) => void;

/** A capture file, opened once however many editors show it, and closed with the last of them. */
export class CaptureDocument implements vscode.CustomDocument {
  readonly uri: vscode.Uri;
  #source: OpenSource | undefined;
  #opening: Promise<CaptureQuery> | undefined;
  readonly #watchers = new Set<Progress>();
  readonly #closing = new AbortController();

  constructor(uri: vscode.Uri) {
    this.uri = uri;
  }

  /** The capture; rejects with the `SyncError` that says why the file cannot be one. */
  open(onProgress: Progress): Promise<CaptureQuery> {
    this.#watchers.add(onProgress);
    this.#opening ??= this.#open();
    return this.#opening.finally(() => this.#watchers.delete(onProgress));
  }

  async #open(): Promise<CaptureQuery> {
    const source = await captureSource(this.uri);
    if (this.#closing.signal.aborted) await source.close();
    else this.#source = source;
    return await openCapture(source, {
      onProgress: (done, total) => {
        for (const watcher of this.#watchers) watcher(total > 0 ? done / total : 1);
      },
      signal: this.#closing.signal,
      // The extension host is shared: others get their turn between the parts of a long scan.
      pause: () => new Promise((resolve) => setImmediate(resolve)),
    });
  }

  dispose(): void {
    this.#closing.abort();
    this.#source?.close().catch(() => undefined);
    this.#source = undefined;
  }
}
