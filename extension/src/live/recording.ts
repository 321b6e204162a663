import * as zlib from 'node:zlib';
import { noCompression } from '@syncscope/protocol/capture';
import {
  attach,
  recordingSink,
  recordSession,
  type Recording as SessionRecording,
  zstdCompression,
} from '@syncscope/protocol/node';
import * as vscode from 'vscode';

/** Where a session is and what lets us in. */
export interface SessionAddress {
  readonly url: string;
  readonly token: string;
}

/** The Node of an older VS Code, or of a desktop build, may come without zstd. */
export const compression = typeof zlib.zstdCompressSync === 'function' ? zstdCompression : noCompression;

/**
 * A capture file that is being written. It observes the session over a connection of its own, so that a slow disk
 * and a busy view do not hold each other up, and starts with the whole state of every replica.
 */
export class Recording {
  readonly uri: vscode.Uri;
  readonly #recording: SessionRecording;

  private constructor(uri: vscode.Uri, recording: SessionRecording) {
    this.uri = uri;
    this.#recording = recording;
  }

  /**
   * Creates the file, with its folder where that is missing.
   *
   * @throws SyncError `FILE_UNWRITABLE`, or one of the codes of `attach`
   */
  static async start(uri: vscode.Uri, address: SessionAddress, isRedacted: boolean): Promise<Recording> {
    const connection = await attach(address);
    try {
      await vscode.workspace.fs.createDirectory(vscode.Uri.joinPath(uri, '..'));
      const options = { compression, ...(isRedacted ? {} : { redaction: false as const }) };
      return new Recording(uri, recordSession(connection, await recordingSink(uri.fsPath), options));
    } catch (error) {
      connection.close();
      throw error;
    }
  }

  get records(): number {
    return this.#recording.records;
  }

  /** Settles when the file is closed, however that came; rejects with `CAPTURE_WRITE_FAILED`. */
  get done(): Promise<unknown> {
    return this.#recording.done;
  }

  /** Finishes the file. Rejects where some of it could not be written. */
  async stop(): Promise<vscode.Uri> {
    await this.#recording.stop();
    return this.uri;
  }
}
