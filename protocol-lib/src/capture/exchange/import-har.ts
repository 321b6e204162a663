import { toHex, unpackMsgpack } from '../../bytes/index.ts';
import { SyncError } from '../../errors/index.ts';
import { writeJson } from '../../messages/index.ts';
import { array, finite, fitText, object, optional, type Schema, string } from '../../schema/index.ts';
import { type ReplicaId, replicaId } from '../../state/index.ts';
import { fromBase64 } from './base64.ts';
import type { CaptureMaker } from './made-capture.ts';

const messageSchema = object({ type: string(20), time: finite, opcode: finite, data: string(64 * 1024 * 1024) });
const entrySchema = object({
  request: object({ url: string(8_000) }),
  _webSocketMessages: optional(array(messageSchema as Schema<HarMessage>, 1_000_000)),
});
const harSchema = object({ log: object({ entries: array(entrySchema, 100_000) }) });

interface HarMessage {
  readonly type: string;
  /** Seconds since 1970. */
  readonly time: number;
  readonly opcode: number;
  readonly data: string;
}

interface Told extends HarMessage {
  readonly client: ReplicaId;
}

const SERVER = replicaId('server');
const BINARY = 2;

/** When the first message of an archive was, in milliseconds since 1970; 0 where there is none. @throws SyncError `IMPORT_INVALID` */
export function harStart(text: string): number {
  const times = messagesOf(text).map(({ time }) => time);
  return Math.max(0, Math.floor(times.reduce((least, time) => Math.min(least, time), times[0] ?? 0) * 1_000));
}

/**
 * Takes the WebSockets of an HTTP archive over: a replica for each connection and one for the server, their messages as frames with what they say,
 * as JSON or msgpack where they are that, as a log line beside. The archive tells the browser's side only, so both ends of a message have its time.
 * @throws SyncError `IMPORT_INVALID` where it is no archive, or has no WebSocket in it
 */
export async function importHar(text: string, maker: CaptureMaker): Promise<void> {
  const messages = messagesOf(text);
  if (messages.length === 0)
    throw invalid('the archive has no WebSocket messages; record with the network panel open before connecting');
  const start = harStart(text) / 1_000;
  const names = new Set(messages.map(({ client }) => client));
  await maker.add(SERVER, 0, { kind: 'replica', role: 'server' });
  for (const name of names) await maker.add(name, 0, { kind: 'replica', role: 'client' });
  const sequences = new Map<string, number>();
  messages.sort((a, b) => a.time - b.time);
  for (const { client, type, time, opcode, data } of messages) {
    const [from, to] = type === 'send' ? [client, SERVER] : [SERVER, client];
    const link = `${from} ${to}`;
    const sequence = (sequences.get(link) ?? 0) + 1;
    sequences.set(link, sequence);
    const wire = opcode === BINARY ? fromBase64(data) : new TextEncoder().encode(data);
    if (wire === undefined) throw invalid(`message ${sequence} of ${link} is not base64`);
    const { kind, told } = decode(wire, opcode);
    const at = Math.max(0, Math.round((time - start) * 1e9));
    // A server has one sequence a receiver here, so its name takes the receiver's in.
    const sender = from === SERVER ? replicaId(`server.${client}`.slice(0, 64)) : from;
    const sent = await maker.add(from, at, { kind: 'send', to, type: kind, sender, sequence }, [], wire);
    const received = await maker.add(to, at, { kind: 'receive', from, type: kind, sender, sequence }, [sent], wire);
    await maker.add(to, at, { kind: 'log', level: 'info', text: fitText(told, 10_000) }, [received]);
  }
}

function messagesOf(text: string): Told[] {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (cause) {
    throw invalid('it is not JSON', cause);
  }
  let entries: readonly { readonly _webSocketMessages?: readonly HarMessage[] | undefined }[];
  try {
    entries = harSchema.parse(parsed, 'har').log.entries;
  } catch (cause) {
    throw invalid(cause instanceof Error ? cause.message : String(cause), cause);
  }
  return entries
    .filter((entry) => (entry._webSocketMessages?.length ?? 0) > 0)
    .flatMap((entry, index) => {
      const client = replicaId(`client-${index + 1}`);
      return (entry._webSocketMessages ?? []).map((message) => ({ ...message, client }));
    });
}

/** What a payload says: JSON, else msgpack, else its bytes. */
function decode(wire: Uint8Array, opcode: number): { readonly kind: string; readonly told: string } {
  if (opcode !== BINARY) {
    const text = new TextDecoder().decode(wire);
    try {
      return { kind: 'JSON', told: JSON.stringify(JSON.parse(text)) };
    } catch {
      return { kind: 'TEXT', told: text };
    }
  }
  try {
    return { kind: 'MSGPACK', told: writeJson(unpackMsgpack(wire)) };
  } catch {
    return { kind: 'BYTES', told: toHex(wire) };
  }
}

function invalid(what: string, cause?: unknown): SyncError {
  return new SyncError('IMPORT_INVALID', `no HTTP archive that could be taken over: ${what}`, {
    origin: 'capture',
    cause,
  });
}
