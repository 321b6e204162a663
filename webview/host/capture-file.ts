import { type OpenCapture, openCapture } from '@syncscope/protocol/capture';
import { isSyncError, SyncError } from '@syncscope/protocol/errors';
import { fileSource } from '@syncscope/protocol/node';
import { clearProgress, watched } from './progress.ts';

/**
 * Opens a capture for as long as `use` runs. Errors of the capture name the file.
 *
 * @throws SyncError as `fileSource` and `openCapture` do
 */
export async function withCapture<T>(path: string, use: (capture: OpenCapture) => Promise<T>): Promise<T> {
  const source = await fileSource(path);
  try {
    return await use(await openCapture(watched(source, path)));
  } catch (error) {
    if (!isSyncError(error) || error.place.file !== undefined) throw error;
    const { code, message, origin, retry, place } = error;
    if (origin !== 'capture' && origin !== 'bytes') throw error;
    throw new SyncError(code, message, { origin, retry, place: { ...place, file: path }, cause: error });
  } finally {
    clearProgress();
    await source.close();
  }
}
