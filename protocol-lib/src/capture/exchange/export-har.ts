import type { ReplicaId } from '../../state/index.ts';
import type { OpenCapture } from '../engine.ts';
import { combinedFilter } from '../filter-syntax.ts';
import { toBase64 } from './base64.ts';
import { passing } from './passing.ts';

const NANOSECONDS_PER_SECOND = 1e9;
/** A binary WebSocket message, RFC 6455. */
const OPCODE_BINARY = 2;

/**
 * An HTTP archive as browsers write WebSockets into it: an entry for each replica that is not the authority, with the messages that it
 * sent and received. One pass an entry, so that nothing but a record is held.
 */
export async function* exportHar(capture: OpenCapture, filter = ''): AsyncGenerator<string> {
  const { header, replicas } = await capture.info();
  const creator = JSON.stringify({ name: 'Syncscope', version: header.build });
  yield `{"log":{"version":"1.2","creator":${creator},"entries":[`;
  let isFirst = true;
  for (const { id, first, last } of replicas) {
    if (id === header.authority) continue;
    if (!isFirst) yield ',';
    isFirst = false;
    const times = { from: await timeOf(capture, first), to: await timeOf(capture, last) };
    yield* entryOf(capture, id, times, filter);
  }
  yield ']}}\n';
}

async function timeOf(capture: OpenCapture, position: number): Promise<number> {
  return (await capture.record(position)).record.time;
}

async function* entryOf(
  capture: OpenCapture,
  replica: ReplicaId,
  times: { readonly from: number; readonly to: number },
  filter: string,
): AsyncGenerator<string> {
  const { startedAt, sessionId: session } = (await capture.info()).header;
  const duration = (times.to - times.from) / 1e6;
  const own = combinedFilter(filter, 'and', `replica:"${replica}" and kind:send|receive`);
  const entry = {
    startedDateTime: new Date(startedAt + times.from / 1e6).toISOString(),
    time: duration,
    request: {
      method: 'GET',
      url: `ws://${encodeURIComponent(session)}.invalid/${encodeURIComponent(replica)}`,
      httpVersion: 'HTTP/1.1',
      headers: [],
      queryString: [],
      cookies: [],
      headersSize: -1,
      bodySize: -1,
    },
    response: {
      status: 101,
      statusText: 'Switching Protocols',
      httpVersion: 'HTTP/1.1',
      headers: [],
      cookies: [],
      content: { size: 0, mimeType: 'x-unknown' },
      redirectURL: '',
      headersSize: -1,
      bodySize: -1,
    },
    cache: {},
    timings: { send: 0, wait: 0, receive: duration },
    _resourceType: 'websocket',
  };
  yield `${JSON.stringify(entry).slice(0, -1)},"_webSocketMessages":[`;
  let isFirst = true;
  for await (const { record, summary } of passing(capture, own)) {
    const { body, wire, time } = record;
    if (wire === undefined || (body.kind !== 'send' && body.kind !== 'receive')) continue;
    const message = {
      type: body.kind,
      time: startedAt / 1_000 + time / NANOSECONDS_PER_SECOND,
      opcode: OPCODE_BINARY,
      data: toBase64(wire),
      _summary: summary,
    };
    yield `${isFirst ? '' : ','}${JSON.stringify(message)}`;
    isFirst = false;
  }
  yield ']}';
}
