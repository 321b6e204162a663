import { isSyncError, SyncError } from '../../errors/index.ts';
import { type Change, type ReplicaId, replicaId, type Value } from '../../state/index.ts';
import { MESSAGES, type Message, type MessageBody, type MessageType } from '../message.ts';
import { OWN_PROTOCOLS, PROTOCOL_VERSION, type ProtocolRange, requireProtocol } from '../protocol.ts';
import type { SnapshotEntry } from '../replication.ts';
import { readChangeLine, readRecordLine } from './change-lines.ts';
import { documentHash } from './document-hash.ts';
import { textKeyword } from './format.ts';
import { readJson } from './json.ts';
import { TEXT_LIMITS, type TextLimits } from './limits.ts';
import { failAt, LineReader } from './line.ts';

export interface ParseOptions {
  readonly limits?: TextLimits;
  /** What a HELLO must meet. */
  readonly protocols?: ProtocolRange;
}

const typesByKeyword: ReadonlyMap<string, MessageType> = new Map(
  (Object.keys(MESSAGES) as MessageType[]).map((type) => [textKeyword(type), type]),
);

/**
 * Reads one whole message with its `FROM` line. Whatever is wrong, nothing of it is taken.
 * @throws SyncError with its line, and its column where it is at one, in `place`: `TEXT_TRUNCATED` where its end is missing, `TEXT_SYNTAX`, `TEXT_DUPLICATE`,
 *   `TEXT_COUNT_MISMATCH`, `MESSAGE_UNKNOWN_TYPE`, `SCHEMA_MISMATCH`, `KEY_INVALID`, `REPLICA_INVALID`, `FIELD_RESERVED`,
 *   `DOCUMENT_HASH_MISMATCH`, `PROTOCOL_UNSUPPORTED`, or a limit: `LIMIT_LINES`, `LIMIT_LINE_LENGTH`, `LIMIT_DEPTH`, `LIMIT_MAP_KEYS`
 */
export function parseMessage(text: string, options: ParseOptions = {}): Message {
  const lines = splitLines(text, options.limits ?? TEXT_LIMITS);
  const head = new LineReader(lines[0]!, 1);
  if (head.keyword !== 'FROM') head.fail('TEXT_SYNTAX', 'expected FROM with sender and sequence before the message', 0);
  const sender = readSender(head);
  const start = head.at + 1;
  const sequence = head.uint('the sequence');
  if (sequence === 0) head.fail('SCHEMA_MISMATCH', 'expected the sequence as a positive integer', start);
  const body = readBody(lines, 1, options);
  return { ...body, sender, sequence };
}

/** Reads the lines of a message without `FROM`. @throws SyncError as {@link parseMessage} */
export function parseBody(text: string, options: ParseOptions = {}): MessageBody {
  return readBody(splitLines(text, options.limits ?? TEXT_LIMITS), 0, options);
}

/** Control characters and the like stand escaped on a line; see `line.ts`. */
const UNSEEN_PATTERN = /[\p{Cc}\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]/u;

function splitLines(text: string, limits: TextLimits): string[] {
  const lines: string[] = [];
  for (let start = 0; start < text.length; ) {
    const number = lines.length + 1;
    if (number > limits.lines) failAt('LIMIT_LINES', `more than ${limits.lines} lines`, number, 1);
    const found = text.indexOf('\n', start);
    const end = found === -1 ? text.length : found;
    if (end - start > limits.line)
      failAt('LIMIT_LINE_LENGTH', `more than ${limits.line} characters`, number, limits.line + 1);
    if (found === -1) failAt('TEXT_TRUNCATED', 'the line does not end', number, end - start + 1);
    const line = text.slice(start, end);
    const unseen = line.search(UNSEEN_PATTERN);
    if (unseen !== -1)
      failAt('TEXT_SYNTAX', 'a control or direction character that is not escaped', number, unseen + 1);
    lines.push(line);
    start = end + 1;
  }
  if (lines.length === 0) failAt('TEXT_TRUNCATED', 'no line at all', 1, 1);
  return lines;
}

function readSender(reader: LineReader): ReplicaId {
  const start = reader.at + 1;
  const sender = reader.field('a replica id');
  try {
    return replicaId(sender);
  } catch (error) {
    return reader.fail('REPLICA_INVALID', (error as Error).message, start);
  }
}

/** A message's lines: the first, and those after it. */
interface Lines {
  readonly first: LineReader;
  readonly more: readonly string[];
}

function readBody(lines: readonly string[], index: number, options: ParseOptions): MessageBody {
  const line = index + 1;
  const text = lines[index];
  if (text === undefined) failAt('TEXT_TRUNCATED', 'the message is missing', line, 1);
  const first: LineReader = new LineReader(text, line);
  if (first.keyword === 'FROM') first.fail('TEXT_DUPLICATE', 'a second FROM', 0);
  const type = typesByKeyword.get(first.keyword);
  if (type === undefined) {
    return first.fail(
      'MESSAGE_UNKNOWN_TYPE',
      `${shown(first.keyword)} is not a message of protocol ${PROTOCOL_VERSION}`,
      0,
    );
  }
  const read = readers[type] ?? readFields;
  const fields = read({ first, more: lines.slice(line) }, options);
  return checked(type, fields, line);
}

type Fields = Readonly<Record<string, unknown>>;
type BodyReader = (lines: Lines, options: ParseOptions) => Fields;

/** A message of one line. What follows the known fields is a later version's, and passed over. */
function single(read: (reader: LineReader, options: ParseOptions) => Fields): BodyReader {
  return ({ first, more }, options) => {
    const fields = read(first, options);
    if (first.hasMore) first.begin('the fields of a later version');
    if (more.length > 0) failAt('TEXT_SYNTAX', 'a frame holds one message', first.line + 1, 1);
    return fields;
  };
}

const readers: Readonly<Partial<Record<MessageType, BodyReader>>> = {
  HELLO: single((reader, { protocols = OWN_PROTOCOLS }) => {
    const [protocolMin, protocolMax] = [reader.uint('the oldest protocol'), reader.uint('the newest protocol')];
    requireProtocol(protocolMin, protocolMax, protocols);
    return withJson(reader, { protocolMin, protocolMax });
  }),
  WELCOME: single((reader) => withJson(reader, { protocol: reader.uint('the protocol') })),
  UPGRADE_REQUIRED: single((reader) => ({
    protocolMin: reader.uint('the oldest protocol'),
    protocolMax: reader.uint('the newest protocol'),
    message: reader.field('what to do'),
  })),
  ERROR: single((reader) => ({
    code: reader.field('the code'),
    message: reader.hasMore ? reader.field('the message') : '',
  })),
  BYE: single((reader) => ({
    reason: reader.field('the reason'),
    ...(reader.hasMore ? { reconnect: reader.uint('the time until it may come back') } : {}),
  })),
  NAMES: single((reader) => ({ first: reader.uint('the first number'), names: readJson(reader, 'the names') })),
  FULL_SYNC: readSnapshot,
  DELTA_SYNC: readDelta,
  EVENT: single((reader) => ({
    event: { type: reader.field('the type'), player: reader.field('the player'), detail: reader.field('the detail') },
    time: reader.uint('the time'),
    version: reader.hasMore ? reader.uint('the version') : 0,
  })),
  SYNC_REQUEST: single((reader) => {
    const [version, root] = [reader.uint('the version'), reader.field('the hash')];
    const reason = reader.hasMore ? reader.field('the reason') : 'root';
    return { version, root, reason, progress: reader.hasMore ? reader.uint('the progress') : version };
  }),
  ACK: single(readStanding),
  HEARTBEAT: single(readStanding),
  COMMAND: single((reader) => ({
    command: reader.field('the command'),
    counter: reader.uint('the counter, without which a command sent twice would count twice'),
    args: readJson(reader, 'the arguments'),
  })),
  REJECT: single((reader) => ({
    counter: reader.uint('the counter'),
    reason: reader.field('the reason'),
    version: reader.uint('the version'),
  })),
  MERKLE_OFFER: single((reader) => ({ version: reader.uint('the version'), root: reader.field('the hash') })),
  MERKLE_QUERY: single((reader) => ({ paths: readJson(reader, 'the paths') })),
  MERKLE_ANSWER: single((reader) => ({ nodes: readJson(reader, 'the nodes') })),
};

/** Whatever has no line of its own: all fields as one JSON object. */
const readFields = single((reader) => withJson(reader, {}));

function readStanding(reader: LineReader): Fields {
  const [version, root] = [reader.uint('the version'), reader.field('the hash')];
  return { version, root, progress: reader.hasMore ? reader.uint('the progress') : version };
}

/** The fields before, and those of the JSON object that comes next. */
function withJson(reader: LineReader, before: Fields): Fields {
  const start = reader.at + 1;
  const rest: Value = readJson(reader, 'the other fields as a JSON object');
  if (typeof rest !== 'object' || rest === null) {
    return reader.fail('SCHEMA_MISMATCH', 'expected the other fields as a JSON object', start);
  }
  const twice = Object.keys(rest).find((name) => Object.hasOwn(before, name));
  if (twice !== undefined) reader.fail('TEXT_DUPLICATE', `field ${twice} has its place on the line already`, start);
  return { ...rest, ...before };
}

// — messages of several lines —

/** Writers and refusals that a message names, each once. */
class Settled {
  readonly vector: Fields[] = [];
  readonly rejected: Fields[] = [];
  readonly #said = new Set<string>();

  /** Reads a `SEEN` or `REFUSED` line. Answers whether it is one. */
  read(reader: LineReader): boolean {
    switch (reader.keyword) {
      case 'SEEN': {
        const replica = readSender(reader);
        this.#once(reader, replica);
        this.vector.push({ replica, counter: reader.uint('the counter') });
        break;
      }
      case 'REFUSED': {
        const [replica, counter] = [readSender(reader), reader.uint('the counter')];
        this.#once(reader, `${replica} ${counter}`);
        this.rejected.push({ replica, counter, reason: reader.field('the reason') });
        break;
      }
      default:
        return false;
    }
    reader.end();
    return true;
  }

  #once(reader: LineReader, what: string): void {
    const id = `${reader.keyword} ${what}`;
    if (this.#said.has(id)) reader.fail('TEXT_DUPLICATE', `${id} twice`, 0);
    this.#said.add(id);
  }
}

/** Lines that may come once. */
type Once = Map<string, LineReader>;

/** Hands the lines up to END to `read`, which answers whether it knows the line; `once` names lines to be kept, one of each. */
function readBlock({ first, more }: Lines, once: readonly string[], read: (reader: LineReader) => boolean): Once {
  const kept: Once = new Map();
  for (const [index, text] of more.entries()) {
    const number = first.line + 1 + index;
    if (text === 'END') {
      if (index + 1 < more.length) failAt('TEXT_SYNTAX', 'a frame holds one message', number + 1, 1);
      return kept;
    }
    const reader = new LineReader(text, number);
    if (once.includes(reader.keyword)) {
      if (kept.has(reader.keyword)) reader.fail('TEXT_DUPLICATE', `a second ${reader.keyword}`, 0);
      kept.set(reader.keyword, reader);
    } else if (!read(reader) && !reader.keyword.startsWith('X_')) {
      // A line that changes the state must not be passed over; a later version's that does not begins with X_.
      reader.fail('TEXT_SYNTAX', `${shown(reader.keyword)} is not a line of ${first.keyword}`, 0);
    }
  }
  return failAt('TEXT_TRUNCATED', `${first.keyword} without its END`, first.line + 1 + more.length, 1);
}

function readSnapshot(lines: Lines): Fields {
  const { first } = lines;
  const [version, root] = [first.uint('the version'), first.field('the hash')];
  const settled = new Settled();
  const records = new Map<string, SnapshotEntry>();
  const once = readBlock(lines, ['PROGRESS', 'HASH31', 'PART'], (reader) => {
    const entry = readRecordLine(reader);
    if (!entry) return settled.read(reader);
    if (records.has(entry.key)) reader.fail('TEXT_DUPLICATE', `a second record ${entry.key}`, 0);
    records.set(entry.key, entry);
    return true;
  });
  const progress = readOnce(once.get('PROGRESS'), (reader) => reader.uint('the progress')) ?? version;
  readOnce(once.get('HASH31'), (reader) => checkDocumentHash(reader, records.values(), version));
  const part = readOnce(once.get('PART'), (reader) => {
    return { index: reader.uint('the part'), of: reader.uint('the number of parts') };
  });
  return {
    version,
    progress,
    records: [...records.values()],
    vector: settled.vector,
    rejected: settled.rejected,
    root,
    ...(part === undefined ? {} : { part }),
  };
}

function checkDocumentHash(reader: LineReader, records: Iterable<SnapshotEntry>, version: number): void {
  const start = reader.at + 1;
  const promised = reader.uint("the document's hash");
  const hash = documentHash(records, version);
  if (hash === promised) return;
  reader.fail('DOCUMENT_HASH_MISMATCH', `the records have the hash×31 ${hash}, not ${promised}`, start);
}

function readDelta(lines: Lines): Fields {
  const { first } = lines;
  const from = first.uint('the version before');
  const to = readRisen(first, from, 'the version after');
  const start = first.at + 1;
  const promised = first.uint('the number of changes');
  const settled = new Settled();
  const changes: Change[] = [];
  const once = readBlock(lines, ['PROGRESS', 'HASH'], (reader) => {
    return readChangeLine(reader, changes) || settled.read(reader);
  });
  if (changes.length !== promised) {
    first.fail('TEXT_COUNT_MISMATCH', `${promised} changes were promised, ${changes.length} came`, start);
  }
  const root = readOnce(once.get('HASH'), (reader) => reader.field('the hash'));
  if (root === undefined) first.fail('SCHEMA_MISMATCH', 'DELTA_SYNC/root: expected a line HASH with the hash after', 0);
  const settledBy = readOnce(once.get('PROGRESS'), (reader) => {
    const since = reader.uint('the progress before');
    return { since, progress: readRisen(reader, since, 'the progress after') };
  });
  const { vector, rejected } = settled;
  return { from, to, since: from, progress: to, ...settledBy, changes, vector, rejected, root };
}

/** The counter after, which is no less than the one before. */
function readRisen(reader: LineReader, before: number, what: string): number {
  const start = reader.at + 1;
  const after = reader.uint(what);
  if (after < before) reader.fail('SCHEMA_MISMATCH', `expected ${what} as no less than ${before}`, start);
  return after;
}

function readOnce<T>(reader: LineReader | undefined, read: (reader: LineReader) => T): T | undefined {
  if (!reader) return undefined;
  const value = read(reader);
  reader.end();
  return value;
}

/** What the fields themselves do not say, their schema does. @throws SyncError of the schema, with the line */
function checked(type: MessageType, fields: Fields, line: number): MessageBody {
  try {
    // The type and its own schema's fields, which TypeScript cannot follow.
    return { type, ...(MESSAGES[type].schema.parse(fields, type) as object) } as MessageBody;
  } catch (error) {
    if (!isSyncError(error)) throw error;
    throw new SyncError(error.code, `line ${line}: ${error.message}`, {
      origin: error.origin,
      retry: error.retry,
      place: { ...error.place, line },
      cause: error,
    });
  }
}

function shown(keyword: string): string {
  return JSON.stringify(keyword.slice(0, 40));
}
