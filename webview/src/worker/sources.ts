import { SyncError } from '@syncscope/protocol/errors';
import type { ByteSource } from '@syncscope/protocol/ports';

function shorter(name: string, offset: number, length: number, got: number): SyncError {
  return new SyncError('SOURCE_SHORT', `${name} ends ${length - got} bytes before ${offset + length}`, {
    origin: 'capture',
    place: { offset: offset + got, file: name },
  });
}

/** Reads a Blob at once. Only workers have it, so the types of a page do not. */
interface BlobReaderNow {
  readAsArrayBuffer(blob: Blob): ArrayBuffer;
}

const readerNow = (globalThis as { readonly FileReaderSync?: new () => BlobReaderNow }).FileReaderSync;

/** A file that the user chose or dropped. Read lazily, so its size does not matter; in a worker also at once. */
export function blobSource(blob: Blob, name: string, Reader = readerNow): ByteSource {
  const part = (offset: number, length: number): Blob => blob.slice(offset, offset + length);
  const whole = (buffer: ArrayBuffer, offset: number, length: number): Uint8Array => {
    if (buffer.byteLength < length) throw shorter(name, offset, length, buffer.byteLength);
    return new Uint8Array(buffer);
  };
  const source: ByteSource = {
    size: async () => blob.size,
    read: async (offset, length) => whole(await part(offset, length).arrayBuffer(), offset, length),
  };
  if (!Reader) return source;
  const reader = new Reader();
  return { ...source, readNow: (offset, length) => whole(readNow(reader, part(offset, length), name), offset, length) };
}

function readNow(reader: BlobReaderNow, part: Blob, name: string): ArrayBuffer {
  try {
    return reader.readAsArrayBuffer(part);
  } catch (error) {
    throw new SyncError('SOURCE_UNREADABLE', `${name} cannot be read any more: it was changed or taken away`, {
      origin: 'capture',
      place: { file: name },
      cause: error,
    });
  }
}

/** As much of `XMLHttpRequest` as reads at once; a worker may do that. */
export type RequestNow = Pick<
  XMLHttpRequest,
  'open' | 'setRequestHeader' | 'send' | 'responseType' | 'status' | 'statusText' | 'response'
>;

/**
 * A file behind HTTP with ranges. A server that ignores ranges is refused rather than sent for the whole file
 * again with each read. With `Request`, for a worker that may wait, it can be read at once too.
 */
export function httpSource(
  url: string,
  name: string,
  token: string,
  get: typeof fetch = fetch,
  Request?: new () => RequestNow,
): ByteSource {
  const failed = (what: string) =>
    new SyncError('SOURCE_UNREACHABLE', `${name}: ${what}`, {
      origin: 'capture',
      retry: 'backoff',
      place: { file: name },
    });

  async function request(init: {
    readonly method?: string;
    readonly headers?: Readonly<Record<string, string>>;
  }): Promise<Response> {
    const headers = { ...init.headers, Authorization: `Bearer ${token}` };
    const response = await get(url, { ...init, headers }).catch((error: unknown) => {
      throw failed(`the host does not answer (${error instanceof Error ? error.message : String(error)})`);
    });
    if (!response.ok) throw failed(`the host answers ${response.status} ${response.statusText}`.trimEnd());
    return response;
  }

  function part(buffer: ArrayBuffer, offset: number, length: number): Uint8Array {
    if (buffer.byteLength < length) throw shorter(name, offset, length, buffer.byteLength);
    return new Uint8Array(buffer);
  }

  function readNow(request: RequestNow, offset: number, length: number): Uint8Array {
    request.open('GET', url, false);
    request.responseType = 'arraybuffer';
    request.setRequestHeader('Authorization', `Bearer ${token}`);
    request.setRequestHeader('Range', rangeOf(offset, length));
    try {
      request.send();
    } catch (error) {
      throw failed(`the host does not answer (${error instanceof Error ? error.message : String(error)})`);
    }
    const { status, statusText } = request;
    if (status !== 206) throw failed(`the host answers ${status} ${statusText} instead of a range`);
    return part(request.response as ArrayBuffer, offset, length);
  }

  return {
    async size() {
      const response = await request({ method: 'HEAD' });
      const length = Number(response.headers.get('content-length') ?? Number.NaN);
      if (!Number.isSafeInteger(length)) throw failed('the host does not say how long the file is');
      return length;
    },
    async read(offset, length) {
      if (length === 0) return new Uint8Array(0);
      const response = await request({ headers: { Range: rangeOf(offset, length) } });
      if (response.status !== 206) throw failed('the host does not serve ranges');
      return part(await response.arrayBuffer(), offset, length);
    },
    ...(Request
      ? {
          readNow: (offset: number, length: number) =>
            length === 0 ? new Uint8Array(0) : readNow(new Request(), offset, length),
        }
      : {}),
  };
}

function rangeOf(offset: number, length: number): string {
  return `bytes=${offset}-${offset + length - 1}`;
}
