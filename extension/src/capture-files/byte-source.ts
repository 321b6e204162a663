import { SyncError } from '@syncscope/protocol/errors';
import { fileSource } from '@syncscope/protocol/node';
import type { ByteSource } from '@syncscope/protocol/ports';
import * as vscode from 'vscode';

/** The most that is read at once where a file system has no ranges. */
const WHOLE_FILE_MAX = 256 * 1024 * 1024;

export interface OpenSource extends ByteSource {
  close(): Promise<void>;
}

/**
 * A capture's bytes by range. Files on disk are read where they are asked for; other file systems give files only
 * whole, so there is a limit to their size.
 *
 * @throws SyncError `FILE_UNREADABLE`, or `CAPTURE_TOO_LARGE` in a virtual workspace
 */
export async function captureSource(uri: vscode.Uri): Promise<OpenSource> {
  if (uri.scheme === 'file') return await fileSource(uri.fsPath);
  const { size } = await readable(uri, vscode.workspace.fs.stat(uri));
  if (size > WHOLE_FILE_MAX) {
    throw new SyncError(
      'CAPTURE_TOO_LARGE',
      vscode.l10n.t(
        '{0} has {1} bytes, more than this file system can hand over. Copy it to a disk and open it there.',
        uri.path,
        size,
      ),
      { origin: 'capture', place: { file: uri.path } },
    );
  }
  const bytes = await readable(uri, vscode.workspace.fs.readFile(uri));
  const readNow = (offset: number, length: number): Uint8Array => {
    if (offset + length <= bytes.length) return bytes.subarray(offset, offset + length);
    throw new SyncError(
      'FILE_ENDS_EARLY',
      `${uri.path}: ${length} bytes wanted at offset ${offset} of ${bytes.length}`,
      {
        origin: 'capture',
        place: { file: uri.path, offset },
      },
    );
  };
  return {
    size: () => Promise.resolve(bytes.length),
    read: async (offset, length) => readNow(offset, length),
    readNow,
    close: () => Promise.resolve(),
  };
}

async function readable<T>(uri: vscode.Uri, reading: Thenable<T>): Promise<T> {
  try {
    return await reading;
  } catch (error) {
    throw new SyncError('FILE_UNREADABLE', vscode.l10n.t('{0} cannot be read.', uri.path), {
      origin: 'capture',
      place: { file: uri.path },
      cause: error,
    });
  }
}
