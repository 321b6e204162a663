import { toHex } from '../../bytes/index.ts';
import { SyncError } from '../../errors/index.ts';
import { array, finite, fitText, object, type Schema, string } from '../../schema/index.ts';
import { type ReplicaId, replicaId } from '../../state/index.ts';
import { fromBase64 } from './base64.ts';
import { msgpackText } from './foreign-msgpack.ts';
import type { CaptureMaker } from './made-capture.ts';

const messageSchema = object({ type: string(20), time: finite, opcode: finite, data: string(64 * 1024 * 1024) });
const socketSchema = object({
  request: object({ url: string(64 * 1024) }),
  _webSocketMessages: array(messageSchema as Schema<HarMessage>, 1_000_000),
});
const MAX_ENTRIES = 1_000_000;

interface HarMessage {
  readonly type: string;
  /** Seconds since 1970. */
  readonly time: number;
  readonly opcode: number;
  readonly data: string;
}

/** One connection of the archive. */
interface Connection {
  readonly client: ReplicaId;
  readonly server: ReplicaId;
  /** Its address, without what may be secret in it. */
  readonly address: string;
  readonly messages: readonly HarMessage[];
}

const BINARY = 2;

/** When the first message of an archive was, in milliseconds since 1970; 0 where there is none. @throws SyncError `IMPORT_INVALID` */
export function harStart(text: string): number {
  const times = connectionsOf(text).flatMap(({ messages }) => messages.map(({ time }) => time));
  return Math.max(0, Math.floor(times.reduce((least, time) => Math.min(least, time), times[0] ?? 0) * 1_000));
}

/**
 * Takes the WebSockets of an HTTP archive over: a replica for each connection and one for each server, their messages as frames with what they say,
 * as JSON or msgpack where they are that, as a log line beside. The archive tells the browser's side only, so both ends of a message have its time.
 * @throws SyncError `IMPORT_INVALID` where it is no archive, or has no WebSocket in it
 */
export async function importHar(text: string, maker: CaptureMaker): Promise<void> {
  const connections = connectionsOf(text);
  if (connections.length === 0)
    throw invalid('the archive has no WebSocket messages; record with the network panel open before connecting');
  const start = harStart(text) / 1_000;
  const servers = new Map(connections.map(({ server, address }) => [server, address]));
  for (const [server, address] of servers) {
    await maker.add(server, 0, { kind: 'replica', role: 'server', title: hostOf(address).slice(0, 200) });
  }
  for (const { client, address } of connections) {
    await maker.add(client, 0, { kind: 'replica', role: 'client', title: address.slice(0, 200) });
  }
  const sequences = new Map<string, number>();
  const all = connections.flatMap((one) => one.messages.map((message) => ({ ...message, one })));
  all.sort((a, b) => a.time - b.time);
  for (const { one, type, time, opcode, data } of all) {
    const { client, server } = one;
    const at = Math.max(0, Math.round((time - start) * 1e9));
    if (type !== 'send' && type !== 'receive') {
      // Such as the error with which a connection ended.
      await maker.add(client, at, { kind: 'log', level: 'error', text: fitText(`${type}: ${data}`, 10_000) });
      continue;
    }
    const [from, to] = type === 'send' ? [client, server] : [server, client];
    const link = `${from} ${to}`;
    const sequence = (sequences.get(link) ?? 0) + 1;
    sequences.set(link, sequence);
    const wire = opcode === BINARY ? fromBase64(data) : new TextEncoder().encode(data);
    if (wire === undefined) throw invalid(`message ${sequence} of ${link} is not base64`);
    const { kind, told } = decode(wire, opcode);
    // A server has one sequence a receiver here, so its name takes the receiver's in.
    const sender = from === server ? replicaId(`${server}.${client}`.slice(0, 64)) : from;
    const sent = await maker.add(from, at, { kind: 'send', to, type: kind, sender, sequence }, [], wire);
    const received = await maker.add(to, at, { kind: 'receive', from, type: kind, sender, sequence }, [sent], wire);
    await maker.add(to, at, { kind: 'log', level: 'info', text: fitText(told, 10_000) }, [received]);
  }
}

/** The connections with messages; all that an archive has beside is nobody's concern. */
function connectionsOf(text: string): Connection[] {
  let parsed: { readonly log?: { readonly entries?: unknown } } | null;
  try {
    // Some programs begin the file with a byte order mark.
    parsed = JSON.parse(text.replace(/^\ufeff/, '')) as typeof parsed;
  } catch (cause) {
    throw invalid('it is not JSON', cause);
  }
  const entries = parsed?.log?.entries;
  if (!Array.isArray(entries) || entries.length > MAX_ENTRIES) {
    throw invalid(`it has no log.entries, or more than ${MAX_ENTRIES}`);
  }
  const servers = new Map<string, ReplicaId>();
  return entries
    .flatMap((entry: { readonly _webSocketMessages?: unknown } | null, index) => {
      const messages = entry?._webSocketMessages;
      if (!Array.isArray(messages) || messages.length === 0) return [];
      const { request, _webSocketMessages } = socketOf(entry, index);
      const address = addressOf(request.url);
      const host = hostOf(address);
      const server = servers.get(host) ?? replicaId(servers.size === 0 ? 'server' : `server-${servers.size + 1}`);
      servers.set(host, server);
      return [{ server, address, messages: _webSocketMessages }];
    })
    .map(({ server, address, messages }, number) => {
      return { client: replicaId(`client-${number + 1}`), server, address, messages };
    });
}

function socketOf(entry: unknown, index: number) {
  try {
    return socketSchema.parse(entry, `har.log.entries[${index}]`);
  } catch (cause) {
    throw invalid(cause instanceof Error ? cause.message : String(cause), cause);
  }
}

/** An address without its query, fragment and user: tokens travel there. */
function addressOf(url: string): string {
  if (!URL.canParse(url)) return url.split(/[?#]/)[0] ?? '';
  const { protocol, host, pathname } = new URL(url);
  return `${protocol}//${host}${pathname}`;
}

function hostOf(address: string): string {
  return URL.canParse(address) ? new URL(address).host : address;
}

/** What a payload says: JSON, else msgpack, else text where the browser took it for that, else its bytes. */
function decode(wire: Uint8Array, opcode: number): { readonly kind: string; readonly told: string } {
  const isText = opcode !== BINARY;
  const text = isText ? new TextDecoder().decode(wire) : textOf(wire);
  const json = text === undefined ? undefined : jsonOf(text);
  // A number alone is many a binary format's first byte.
  if (json !== undefined && (isText || /^[[{]/.test(json))) return { kind: 'JSON', told: json };
  if (isText) return { kind: 'TEXT', told: text ?? '' };
  const told = msgpackText(wire);
  return told === undefined ? { kind: 'BYTES', told: toHex(wire) } : { kind: 'MSGPACK', told };
}

function textOf(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

function jsonOf(text: string): string | undefined {
  try {
    return JSON.stringify(JSON.parse(text));
  } catch {
    return undefined;
  }
}

function invalid(what: string, cause?: unknown): SyncError {
  return new SyncError('IMPORT_INVALID', `no HTTP archive that could be taken over: ${what}`, {
    origin: 'capture',
    cause,
  });
}
