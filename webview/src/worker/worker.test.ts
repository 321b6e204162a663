import { packMsgpack, unpackMsgpack } from '@syncscope/protocol/bytes';
import { RecordBatch } from '@syncscope/protocol/capture';
import type { SyncError } from '@syncscope/protocol/errors';
import { replicaId } from '@syncscope/protocol/state';
import { TRACE_VERSION, type TraceHeader } from '@syncscope/protocol/trace';
import { describe, expect, it } from 'vitest';
import { attach } from './attach.ts';
import { pageMessageSchema } from './side-channel.ts';
import { blobSource, httpSource, type RequestNow } from './sources.ts';

const header: TraceHeader = {
  sessionId: 's',
  title: 't',
  scenario: 'x',
  traceVersion: TRACE_VERSION,
  protocolVersion: 1,
  startedAt: 0,
  authority: replicaId('server'),
  build: 'test',
};

/** The browser's socket as far as it is used, its far end in the test's hands. */
class FakeSocket extends EventTarget {
  readyState = 1;
  binaryType = '';
  readonly sent: Uint8Array[] = [];
  isClosed = false;
  send(frame: Uint8Array): void {
    this.sent.push(frame);
  }
  close(): void {
    this.isClosed = true;
  }
  say(message: unknown): void {
    this.hear(Uint8Array.from(packMsgpack(message)).buffer);
  }
  hear(data: unknown): void {
    this.dispatchEvent(new MessageEvent('message', { data }));
  }
  end(reason = ''): void {
    this.readyState = 3;
    this.dispatchEvent(Object.assign(new Event('close'), { reason }));
  }
}

function attached() {
  const socket = new FakeSocket();
  const seen: unknown[] = [];
  const ends: Array<{ reason: string; error: SyncError | undefined }> = [];
  let asked: readonly string[] = [];
  const attachment = attach(
    'ws://127.0.0.1:1/inspect',
    'ab'.repeat(32),
    {
      onHeader: (given, mayInject, targets) => seen.push(['header', given.title, mayInject, targets]),
      onRecords: (records) => seen.push(['records', records.length]),
      onEnd: (reason, error) => ends.push({ reason, error }),
    },
    (_url, protocols) => {
      asked = protocols;
      return socket as unknown as WebSocket;
    },
  );
  return { socket, seen, ends, attachment, asked };
}

describe('attaching from a browser', () => {
  it('offers the protocol and the token, and hands on header and records', () => {
    const { socket, seen, asked } = attached();
    expect(asked).toEqual(['syncscope.v1', `token.${'ab'.repeat(32)}`]);
    socket.say({ type: 'header', header, mayInject: true, targets: ['bot-1'] });
    const batch = new RecordBatch();
    for (const seq of [1, 2]) {
      const body = { kind: 'log', level: 'info', text: 'x' } as const;
      batch.add({ seq, time: 0, replica: replicaId('bot-1'), cause: [], body });
    }
    socket.say({ type: 'records', batch: batch.take() });
    expect(seen).toEqual([
      ['header', 't', true, ['bot-1']],
      ['records', 2],
    ]);
  });

  it.each([
    ['text', 'hello'],
    ['not msgpack', new Uint8Array([0xc1]).buffer],
    ['a bomb', Uint8Array.from({ length: 100_000 }, () => 0x91).buffer],
    ['another message', Uint8Array.from(packMsgpack({ type: 'run' })).buffer],
    ['what is no batch', Uint8Array.from(packMsgpack({ type: 'records', batch: new Uint8Array([1]) })).buffer],
    ['records too early', Uint8Array.from(packMsgpack({ type: 'records', batch: new Uint8Array(0) })).buffer],
  ])('ends with an error on %s', (_what, data) => {
    const { socket, ends, seen } = attached();
    socket.hear(data);
    socket.end();
    expect(ends).toHaveLength(1);
    expect(ends[0]?.error).toMatchObject({ name: 'SyncError' });
    expect(socket.isClosed).toBe(true);
    expect(seen).toEqual([]);
  });

  it('says what may be wrong where it was not let in', () => {
    const { socket, ends } = attached();
    socket.end();
    expect(ends[0]?.error?.code).toBe('ATTACH_FAILED');
    expect(ends[0]?.error?.message).toContain('token');
  });

  it('tells the reason for which the session closed, once', () => {
    const { socket, ends, attachment } = attached();
    socket.say({ type: 'header', header, mayInject: false, targets: [] });
    socket.say({ type: 'closing', reason: 'reads too slowly' });
    socket.end();
    attachment.detach();
    expect(ends).toEqual([{ reason: 'reads too slowly', error: undefined }]);
  });

  it('settles each fault by its answer, and all that wait when it ends', async () => {
    const { socket, attachment } = attached();
    socket.say({ type: 'header', header, mayInject: true, targets: ['bot-1'] });
    const spec = { fault: 'corrupt', target: replicaId('bot-1') } as const;
    const [taken, refused, open] = [attachment.inject(spec), attachment.inject(spec), attachment.inject(spec)];
    expect(unpackMsgpack(socket.sent[0]!)).toEqual({ type: 'fault', request: 1, spec });
    socket.say({ type: 'answer', request: 2, error: { code: 'ATTACH_FORBIDDEN', message: 'may only observe' } });
    socket.say({ type: 'answer', request: 1 });
    await taken;
    await expect(refused).rejects.toMatchObject({ code: 'ATTACH_FORBIDDEN' });
    attachment.detach();
    await expect(open).rejects.toMatchObject({ code: 'ATTACH_CLOSED' });
    await expect(attachment.inject(spec)).rejects.toMatchObject({ code: 'ATTACH_CLOSED' });
  });
});

describe('a flush of the session, before what it told is saved', () => {
  const greeting = { type: 'header', header, mayInject: false, targets: [] };

  it('is over when its answer has come', async () => {
    const { socket, attachment } = attached();
    socket.say({ ...greeting, features: ['end', 'flush'] });
    let isOver = false;
    const flushed = attachment.flush().then(() => {
      isOver = true;
    });
    expect(unpackMsgpack(socket.sent[0]!)).toEqual({ type: 'flush', request: 1 });
    socket.say({ type: 'answer', request: 2 });
    await Promise.resolve();
    expect(isOver).toBe(false);
    socket.say({ type: 'answer', request: 1 });
    await flushed;
  });

  it('is over when the session ends, and is not asked of one that does not know it or is over', async () => {
    const { socket, attachment } = attached();
    socket.say({ ...greeting, features: ['flush'] });
    const flushed = attachment.flush();
    socket.end();
    await flushed;
    await attachment.flush();
    expect(socket.sent).toHaveLength(1);
    const old = attached();
    old.socket.say(greeting);
    await old.attachment.flush();
    expect(old.socket.sent).toEqual([]);
  });
});

describe('sources of bytes', () => {
  const bytes = Uint8Array.from({ length: 100 }, (_, index) => index);

  it('reads a chosen file by ranges, and says where it ends', async () => {
    const source = blobSource(new Blob([bytes]), 'a.mcap');
    expect(await source.size()).toBe(100);
    expect(await source.read(10, 3)).toEqual(new Uint8Array([10, 11, 12]));
    await expect(source.read(98, 5)).rejects.toMatchObject({
      code: 'SOURCE_SHORT',
      place: { file: 'a.mcap', offset: 100 },
    });
  });

  it('reads a chosen file at once where the worker can, and says where it ends or that it is gone', () => {
    let isGone = false;
    class Reader {
      readAsArrayBuffer(blob: Blob): ArrayBuffer {
        if (isGone) throw new DOMException('gone', 'NotFoundError');
        return bytes.slice(parts.get(blob)!.offset, parts.get(blob)!.end).buffer;
      }
    }
    // Node's Blob cannot be read at once, so it is noted which part of it was cut out.
    const parts = new Map<Blob, { readonly offset: number; readonly end: number }>();
    const blob = new Blob([bytes]);
    const cut = blob.slice.bind(blob);
    blob.slice = (offset = 0, end = blob.size) => {
      const part = cut(offset, end);
      parts.set(part, { offset, end });
      return part;
    };
    const source = blobSource(blob, 'a.mcap', Reader);
    expect(source.readNow?.(10, 3)).toEqual(new Uint8Array([10, 11, 12]));
    expect(() => source.readNow?.(98, 5)).toThrow(expect.objectContaining({ code: 'SOURCE_SHORT' }));
    isGone = true;
    expect(() => source.readNow?.(10, 3)).toThrow(expect.objectContaining({ code: 'SOURCE_UNREADABLE' }));
    expect(blobSource(blob, 'a.mcap')).not.toHaveProperty('readNow');
  });

  function served(answer: (init: RequestInit) => Response) {
    const seen: RequestInit[] = [];
    const get = async (_url: unknown, init: RequestInit = {}) => {
      seen.push(init);
      return answer(init);
    };
    return { source: httpSource('http://x/capture', 'a.mcap', 'secret', get as typeof fetch), seen };
  }

  it('reads a served file by ranges, with the token in a header', async () => {
    const { source, seen } = served((init) =>
      init.method === 'HEAD'
        ? new Response(null, { headers: { 'content-length': '100' } })
        : new Response(bytes.slice(10, 13), { status: 206 }),
    );
    expect(await source.size()).toBe(100);
    expect(await source.read(10, 3)).toEqual(new Uint8Array([10, 11, 12]));
    expect(seen[1]?.headers).toMatchObject({ Range: 'bytes=10-12', Authorization: 'Bearer secret' });
  });

  function servedNow(answer: (range: string | undefined) => { status: number; body: Uint8Array }) {
    const asked: string[] = [];
    class Request implements RequestNow {
      responseType: XMLHttpRequestResponseType = '';
      status = 0;
      statusText = '';
      response: ArrayBuffer = new ArrayBuffer(0);
      readonly #headers = new Map<string, string>();
      open(method: string, url: string | URL, isAsync?: boolean): void {
        asked.push(`${method} ${url} ${isAsync}`);
      }
      setRequestHeader(header: string, value: string): void {
        this.#headers.set(header, value);
      }
      send(): void {
        expect(this.#headers.get('Authorization')).toBe('Bearer secret');
        const { status, body } = answer(this.#headers.get('Range'));
        Object.assign(this, { status, response: body.slice().buffer });
      }
    }
    return { source: httpSource('http://x/capture', 'a.mcap', 'secret', fetch, Request), asked };
  }

  it('reads a served file at once in a worker, and refuses what is no range', () => {
    const { source, asked } = servedNow((range) =>
      range === 'bytes=10-12' ? { status: 206, body: bytes.slice(10, 13) } : { status: 206, body: bytes.slice(98) },
    );
    expect(source.readNow?.(10, 3)).toEqual(new Uint8Array([10, 11, 12]));
    expect(source.readNow?.(10, 0)).toEqual(new Uint8Array(0));
    expect(asked).toEqual(['GET http://x/capture false']);
    expect(() => source.readNow?.(98, 5)).toThrow(expect.objectContaining({ code: 'SOURCE_SHORT' }));
    const whole = servedNow(() => ({ status: 200, body: bytes })).source;
    expect(() => whole.readNow?.(0, 4)).toThrow(expect.objectContaining({ code: 'SOURCE_UNREACHABLE' }));
    const gone = servedNow(() => {
      throw new TypeError('no');
    }).source;
    expect(() => gone.readNow?.(0, 4)).toThrow(/does not answer \(no\)/);
    expect(httpSource('http://x', 'a.mcap', 't')).not.toHaveProperty('readNow');
  });

  it('refuses a host that sends the whole file each time, refuses, or is gone', async () => {
    const whole = served(() => new Response(bytes));
    await expect(whole.source.read(0, 4)).rejects.toMatchObject({ code: 'SOURCE_UNREACHABLE' });
    const refused = served(() => new Response('', { status: 401, statusText: 'Unauthorized' }));
    await expect(refused.source.size()).rejects.toThrow(/401 Unauthorized/);
    const gone = httpSource('http://x', 'a.mcap', 't', (() => Promise.reject(new TypeError('no'))) as typeof fetch);
    await expect(gone.size()).rejects.toMatchObject({ code: 'SOURCE_UNREACHABLE', retry: 'backoff' });
  });
});

it('believes no message of the page that is not one', () => {
  expect(() => pageMessageSchema.parse({ page: 'openFile', file: 'x', name: 'y' }, 'page')).toThrow(/expected a file/);
  expect(() => pageMessageSchema.parse({ page: 'eval' }, 'page')).toThrow();
});
