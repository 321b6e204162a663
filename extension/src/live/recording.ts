import { CaptureWriter } from '@syncscope/protocol/capture';
import { fileSink } from '@syncscope/protocol/node';
import type { TraceHeader } from '@syncscope/protocol/trace';
import * as vscode from 'vscode';

const FLUSH_EVERY_MS = 500;

/** A capture file that is being written. What a crash costs is what came since the last flush. */
export class Recording {
  readonly uri: vscode.Uri;
  readonly #writer: CaptureWriter;
  readonly #timer: NodeJS.Timeout;
  #failure: unknown;
  #isFlushing = false;

  private constructor(uri: vscode.Uri, writer: CaptureWriter, onFailure: (error: unknown) => void) {
    this.uri = uri;
    this.#writer = writer;
    this.#timer = setInterval(() => {
      if (this.#isFlushing || this.#failure !== undefined) return;
      this.#isFlushing = true;
      writer
        .flush()
        .catch((error: unknown) => {
          this.#failure = error;
          onFailure(error);
        })
        .finally(() => {
          this.#isFlushing = false;
        });
    }, FLUSH_EVERY_MS);
  }

  /**
   * Creates the file, with its folder where that is missing. `onFailure` is called once where the disk stops taking it.
   *
   * @throws SyncError `FILE_UNWRITABLE`
   */
  static async start(uri: vscode.Uri, header: TraceHeader, onFailure: (error: unknown) => void): Promise<Recording> {
    await vscode.workspace.fs.createDirectory(vscode.Uri.joinPath(uri, '..'));
    return new Recording(uri, new CaptureWriter(await fileSink(uri.fsPath), header), onFailure);
  }

  get records(): number {
    return this.#writer.records;
  }

  /** Encoded trace records, in order. */
  append(records: Iterable<Uint8Array>): void {
    if (this.#failure !== undefined) return;
    for (const record of records) this.#writer.append(record);
  }

  /** Writes the summary and closes the file. Rejects where some of it could not be written. */
  async end(): Promise<vscode.Uri> {
    clearInterval(this.#timer);
    await this.#writer.end();
    return this.uri;
  }
}
