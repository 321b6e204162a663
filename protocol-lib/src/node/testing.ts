import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { type IncomingMessage, request } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { replicaId } from '../state/index.ts';
import { TRACE_VERSION, type TraceHeader, TraceHub } from '../trace/index.ts';
import { monotonicClock } from './clock.ts';
import { type Inspectable, type InspectableOptions, inspectable } from './inspectable.ts';

/** For tests of this folder: a process that can be inspected, and a client that may say anything. */

export const server = replicaId('server');

export function header(): TraceHeader {
  return {
    sessionId: `test-${randomBytes(4).toString('hex')}`,
    title: 'a test',
    scenario: 'none',
    traceVersion: TRACE_VERSION,
    protocolVersion: 1,
    startedAt: 1_700_000_000_000,
    authority: server,
    build: 'test',
  };
}

export interface TestSession extends Inspectable {
  readonly hub: TraceHub;
  readonly folder: string;
  readonly port: number;
}

/** Starts an inspectable with a folder of its own; `end` what `cleanups` holds after each test. */
export async function startSession(
  cleanups: Array<() => Promise<unknown>>,
  options: Partial<InspectableOptions> = {},
): Promise<TestSession> {
  const folder = await temporaryFolder(cleanups);
  const hub = new TraceHub(monotonicClock);
  const describe = (): void => {
    hub.emit(server, { kind: 'replica', role: 'server' });
  };
  const session = await inspectable({ hub, header: header(), describe, sessionsFolder: folder, ...options });
  cleanups.unshift(() => session.close());
  return Object.assign(Object.create(session) as Inspectable, { hub, folder, port: Number(new URL(session.url).port) });
}

export async function temporaryFolder(cleanups: Array<() => Promise<unknown>>): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'syncscope-test-'));
  cleanups.push(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

export interface RawAnswer {
  readonly status: number;
  readonly head: string;
  readonly body: string;
}

/** Writes a request as given, byte for byte, and reads the answer to its end, or to the end of its head where it is an upgrade. */
export function rawRequest(port: number, path: string, headers: readonly string[]): Promise<RawAnswer> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1');
    let text = '';
    const finish = (): void => {
      const [head = '', body = ''] = text.split('\r\n\r\n', 2);
      resolve({ status: Number(head.split(' ')[1]), head, body });
      socket.destroy();
    };
    socket.setEncoding('latin1');
    socket.on('data', (part: string) => {
      text += part;
      if (text.startsWith('HTTP/1.1 101') && text.includes('\r\n\r\n')) finish();
    });
    socket.on('end', finish);
    socket.on('error', reject);
    socket.write([`GET ${path} HTTP/1.1`, ...headers, '', ''].join('\r\n'));
  });
}

/** An attempt to attach, with `Host`, `Origin` and more as given. */
export function rawAttach(port: number, headers: readonly string[], path = '/inspect'): Promise<RawAnswer> {
  return rawRequest(port, path, [
    ...headers,
    'Connection: Upgrade',
    'Upgrade: websocket',
    'Sec-WebSocket-Version: 13',
    'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
  ]);
}

export function codeOf(answer: RawAnswer): string {
  const { error } = JSON.parse(answer.body) as { error: { code: string } };
  return error.code;
}

/** A plain GET. */
export function get(url: string): Promise<{ status: number; headers: IncomingMessage['headers']; body: string }> {
  return new Promise((resolve, reject) => {
    const asked = request(url, { agent: false }, (response) => {
      let body = '';
      response.setEncoding('utf8');
      response.on('data', (part: string) => {
        body += part;
      });
      response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body }));
    });
    asked.on('error', reject);
    asked.end();
  });
}
