import { constants, readSync } from 'node:fs';
import { type FileHandle, open, readFile, realpath, rename, rm, stat, writeFile } from 'node:fs/promises';
import { SyncError } from '../errors/index.ts';
import type { ByteSink, ByteSource } from '../ports/index.ts';

/** So many are copied at once. */
const COPIED_BYTES = 1024 * 1024;

/** A file that is open for reading until `close`. */
export interface FileSource extends ByteSource {
  close(): Promise<void>;
}

/**
 * Opens a file for random reads.
 * @throws SyncError `FILE_UNREADABLE` where it does not exist, is no file, or may not be read.
 */
export async function fileSource(path: string): Promise<FileSource> {
  const handle = await openToRead(path);
  return sourceOf(handle, path);
}

function sourceOf(handle: FileHandle, path: string): FileSource {
  return {
    size: async () => (await handle.stat()).size,
    async read(offset, length) {
      const bytes = new Uint8Array(length);
      let filled = 0;
      while (filled < length) {
        const { bytesRead } = await handle.read(bytes, filled, length - filled, offset + filled);
        if (bytesRead === 0) throw endsEarly(path, offset, length, filled);
        filled += bytesRead;
      }
      return bytes;
    },
    readNow(offset, length) {
      const bytes = new Uint8Array(length);
      let filled = 0;
      while (filled < length) {
        const read = readSync(handle.fd, bytes, filled, length - filled, offset + filled);
        if (read === 0) throw endsEarly(path, offset, length, filled);
        filled += read;
      }
      return bytes;
    },
    close: () => handle.close(),
  };
}

function endsEarly(path: string, offset: number, wanted: number, filled: number): SyncError {
  return new SyncError(
    'FILE_ENDS_EARLY',
    `${path}: ${wanted} bytes wanted at offset ${offset}, the file ends after ${filled} of them`,
    { origin: 'capture', retry: 'backoff', place: { file: path, offset } },
  );
}

/**
 * Opens a plain file for reading; anything else is refused, and a pipe is not waited for.
 * @throws SyncError `FILE_UNREADABLE`
 */
export async function openToRead(path: string): Promise<FileHandle> {
  const handle = await openFile(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
  try {
    if ((await handle.stat()).isFile()) return handle;
    throw fileError('FILE_UNREADABLE', path, 'is not a file');
  } catch (error) {
    await handle.close();
    throw error;
  }
}

/**
 * Creates a file, or empties the one that is there, for writing from its start. Only the user may read it:
 * a capture holds whatever the session held. The file may be renamed while it is open.
 * @throws SyncError `FILE_UNWRITABLE`
 */
export function fileSink(path: string): Promise<ByteSink> {
  return sinkOf(path, 'w+');
}

async function sinkOf(path: string, flags: 'w+' | 'wx+'): Promise<ByteSink> {
  const handle = await openFile(path, flags);
  return {
    async write(bytes) {
      let written = 0;
      while (written < bytes.length) {
        const result = await handle.write(bytes, written, bytes.length - written);
        written += result.bytesWritten;
      }
    },
    flush: () => handle.datasync(),
    close: () => handle.close(),
    rewrite: (write) => rewrite(handle, path, write),
  };
}

/** What is written instead stands beside the file until it is whole. */
async function rewrite(handle: FileHandle, path: string, write: Parameters<Rewrite>[0]): Promise<void> {
  const beside = `${path}.rewriting`;
  let isAsked = false;
  try {
    await write(sourceOf(handle, path), () => {
      isAsked = true;
      return fileSink(beside);
    });
    if (isAsked) await replace(handle, path, beside);
  } finally {
    if (isAsked) await rm(beside, { force: true });
  }
}
type Rewrite = NonNullable<ByteSink['rewrite']>;

/** At once, where the file is still called so and its system renames onto a file that is open; else byte by byte. */
async function replace(handle: FileHandle, path: string, beside: string): Promise<void> {
  const [there, own] = await Promise.all([stat(path).catch(() => undefined), handle.stat()]);
  if (there?.ino === own.ino && there.dev === own.dev) {
    const isRenamed = await rename(beside, path).then(
      () => true,
      () => false,
    );
    if (isRenamed) return;
  }
  const source = await fileSource(beside);
  try {
    const size = await source.size();
    await handle.truncate(0);
    for (let at = 0; at < size; ) {
      const bytes = await source.read(at, Math.min(COPIED_BYTES, size - at));
      at += (await handle.write(bytes, 0, bytes.length, at)).bytesWritten;
    }
    await handle.datasync();
  } finally {
    await source.close();
  }
}

export interface RecordingSinkOptions {
  /** Nothing may be there yet: what was recorded before cannot be recorded again. Default: a file is written over. */
  readonly isNew?: boolean;
}

/**
 * {@link fileSink} for a recording: while it is open nobody else begins one onto this file. A file beside it,
 * `PATH.recording`, says which process writes. That of a process that has died is taken over.
 * @throws SyncError `FILE_UNWRITABLE`, `FILE_IN_USE`, or `OUTPUT_EXISTS`, and then the file is as it was
 */
export async function recordingSink(path: string, { isNew = false }: RecordingSinkOptions = {}): Promise<ByteSink> {
  const release = await claim(path);
  try {
    const sink = await sinkOf(path, isNew ? 'wx+' : 'w+');
    return {
      ...sink,
      async close() {
        await sink.close();
        await release();
      },
    };
  } catch (error) {
    await release();
    throw error;
  }
}

/**
 * Makes a file whole or not at all: what is written stands beside it, and takes its place once `fill` has come to its end and closed the sink. Nobody else
 * may be recording onto it, and what is no plain file is not replaced.
 * @throws SyncError `FILE_UNWRITABLE`, `FILE_IN_USE`, and what `fill` throws; the file is as it was then
 */
export async function wholeFile<T>(path: string, fill: (sink: ByteSink) => Promise<T>): Promise<T> {
  // What a link names is replaced, not the link.
  const target = await realpath(path).catch(() => path);
  const there = await stat(target).catch(() => undefined);
  if (there && !there.isFile()) throw fileError('FILE_UNWRITABLE', path, 'is there, and is no plain file');
  const release = await claim(target);
  const beside = `${target}.part`;
  try {
    const filled = await fill(await fileSink(beside));
    await rename(beside, target).catch((cause: unknown) => {
      throw fileError('FILE_UNWRITABLE', path, 'cannot be replaced', cause);
    });
    return filled;
  } finally {
    await rm(beside, { force: true });
    await release();
  }
}

/** Says beside the file that this process writes it. Returns what takes that back. */
async function claim(path: string): Promise<() => Promise<void>> {
  const mark = `${path}.recording`;
  for (let attempt = 0; ; attempt++) {
    try {
      await writeFile(mark, `${process.pid}\n`, { flag: 'wx', mode: 0o600 });
      return () => rm(mark, { force: true });
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) {
        const reason = error instanceof Error && 'code' in error ? String(error.code) : String(error);
        throw fileError('FILE_UNWRITABLE', path, `cannot be opened for writing (${reason})`, error);
      }
    }
    const writer = Number.parseInt(await readFile(mark, 'utf8').catch(() => ''), 10);
    if (isAlive(writer) || attempt > 0) {
      const who = Number.isNaN(writer) ? 'another process' : `process ${writer}`;
      throw fileError('FILE_IN_USE', path, `is being written by ${who}: end that recording, or name another file`);
    }
    await rm(mark, { force: true });
  }
}

function isAlive(pid: number): boolean {
  if (Number.isNaN(pid)) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // It is there, and somebody else's.
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}

async function openFile(path: string, flags: 'w+' | 'wx+' | number): Promise<FileHandle> {
  try {
    return await open(path, flags, 0o600);
  } catch (error) {
    const reason = error instanceof Error && 'code' in error ? String(error.code) : String(error);
    if (reason === 'EEXIST') throw fileError('OUTPUT_EXISTS', path, 'is there already: name a new file', error);
    const isWritten = typeof flags === 'string';
    throw fileError(
      isWritten ? 'FILE_UNWRITABLE' : 'FILE_UNREADABLE',
      path,
      `cannot be opened for ${isWritten ? 'writing' : 'reading'}: ${reasonText(reason, isWritten)}`,
      error,
    );
  }
}

/** What the system's code means for whoever named the file. */
function reasonText(code: string, isWritten: boolean): string {
  switch (code) {
    case 'ENOENT':
      return `there is no such ${isWritten ? 'folder' : 'file'} (ENOENT)`;
    case 'EACCES':
    case 'EPERM':
      return `this user may not do that (${code})`;
    case 'EISDIR':
      return 'it is a folder (EISDIR)';
    default:
      return code;
  }
}

function fileError(code: string, path: string, what: string, cause?: unknown): SyncError {
  return new SyncError(code, `${path} ${what}`, { origin: 'capture', place: { file: path }, cause });
}
