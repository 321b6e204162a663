import { compareUtf8 } from '../../bytes/index.ts';
import { SyncError } from '../../errors/index.ts';
import { type BodyOf, MESSAGES, type Message, type MessageBody, type MessageType } from '../message.ts';
import { changeLines, recordLine } from './change-lines.ts';
import { documentHash } from './document-hash.ts';
import { writeJson } from './json.ts';
import { TEXT_LIMITS, type TextLimits } from './limits.ts';
import { escapeField } from './line.ts';

export interface FormatOptions {
  /** Adds the document's hash×31 to snapshots, as a line `HASH31`, for readers that know no other. */
  readonly documentHash?: boolean;
  readonly limits?: TextLimits;
}

/**
 * The keyword of the first line of messages between a client and an authority. Those that the document names are as it has them;
 * `ERROR:<code>` and `REJECT` are apart because with several commands pending a refusal must name its command.
 */
const TEXT_KEYWORDS: Readonly<Partial<Record<MessageType, string>>> = {
  HELLO: 'HELLO',
  WELCOME: 'WELCOME',
  UPGRADE_REQUIRED: 'UPGRADE_REQUIRED',
  ERROR: 'ERROR',
  BYE: 'BYE',
  NAMES: 'NAMES',
  FULL_SYNC: 'SNAPSHOT',
  DELTA_SYNC: 'DELTA',
  EVENT: 'EVENT',
  SYNC_REQUEST: 'SYNC_REQUEST',
  ACK: 'ACK',
  COMMAND: 'CMD',
  REJECT: 'REJECT',
  MERKLE_OFFER: 'MERKLE_OFFER',
  MERKLE_QUERY: 'MERKLE_QUERY',
  MERKLE_ANSWER: 'MERKLE_ANSWER',
  HEARTBEAT: 'HEARTBEAT',
};

/** The keyword of a message's first line: its type where {@link TEXT_KEYWORDS} has no other. */
export function textKeyword(type: MessageType): string {
  return TEXT_KEYWORDS[type] ?? type;
}

/** Messages without a line of their own here are their keyword and their fields as one JSON object. */
type Formatters = { readonly [T in MessageType]?: (body: BodyOf<T>, options: FormatOptions) => string[] };

const formatters: Formatters = {
  HELLO: ({ type: _, protocolMin, protocolMax, ...rest }) => [line('HELLO', protocolMin, protocolMax, json(rest))],
  WELCOME: ({ type: _, protocol, ...rest }) => [line('WELCOME', protocol, json(rest))],
  UPGRADE_REQUIRED: ({ protocolMin, protocolMax, message }) => [
    line('UPGRADE_REQUIRED', protocolMin, protocolMax, message),
  ],
  ERROR: ({ code, message }) => [line('ERROR', code, ...unless(message === '', message))],
  BYE: ({ reason, reconnect }) => [line('BYE', reason, ...(reconnect === undefined ? [] : [reconnect]))],
  NAMES: ({ first, names }) => [line('NAMES', first, json(names))],
  FULL_SYNC: (body, options) => [
    line('SNAPSHOT', body.version, body.root),
    ...unless(body.progress === body.version, line('PROGRESS', body.progress)),
    ...(body.part ? [line('PART', body.part.index, body.part.of)] : []),
    ...(options.documentHash && !body.part ? [line('HASH31', documentHash(body.records, body.version))] : []),
    ...sortedByKey(body.records).map(({ key, record }) => recordLine(key, record)),
    ...settledLines(body),
    'END',
  ],
  DELTA_SYNC: (body) => {
    const { from, to, since, progress } = body;
    if (to < from || progress < since) refuse('SCHEMA_MISMATCH', 'a delta leads to a later state, or to the same');
    return [
      line('DELTA', from, to, body.changes.length),
      line('HASH', body.root),
      ...unless(since === from && progress === to, line('PROGRESS', since, progress)),
      ...changeLines(body.changes),
      ...settledLines(body),
      'END',
    ];
  },
  EVENT: ({ event, time, version }) => [
    line('EVENT', event.type, event.player, event.detail, time, ...unless(version === 0, version)),
  ],
  SYNC_REQUEST: ({ version, root, reason, progress }) => {
    const isUsual = progress === version;
    return [
      line(
        'SYNC_REQUEST',
        version,
        root,
        ...unless(reason === 'root' && isUsual, reason),
        ...unless(isUsual, progress),
      ),
    ];
  },
  ACK: (body) => [standingLine('ACK', body)],
  HEARTBEAT: (body) => [standingLine('HEARTBEAT', body)],
  COMMAND: ({ command, counter, args }) => [line('CMD', command, counter, json(args))],
  REJECT: ({ counter, reason, version }) => [line('REJECT', counter, reason, version)],
  MERKLE_OFFER: ({ version, root }) => [line('MERKLE_OFFER', version, root)],
  MERKLE_QUERY: ({ paths }) => [line('MERKLE_QUERY', json(paths))],
  MERKLE_ANSWER: ({ nodes }) => [line('MERKLE_ANSWER', json(nodes))],
};

/** JSON on its way to a line, which needs no escapes of a field. */
interface Json {
  readonly json: string;
}

function json(value: unknown): Json {
  return { json: writeJson(value) };
}

function line(keyword: string, ...fields: readonly (string | number | Json)[]): string {
  const written = fields.map((field) => {
    if (typeof field === 'number') return String(field);
    return typeof field === 'string' ? escapeField(field) : field.json;
  });
  return [keyword, ...written].join(':');
}

/** What a reader assumes where nothing is said is not said. */
function unless<T>(isAssumed: boolean, said: T): T[] {
  return isAssumed ? [] : [said];
}

function standingLine(keyword: string, { version, root, progress }: BodyOf<'ACK' | 'HEARTBEAT'>): string {
  return line(keyword, version, root, ...unless(progress === version, progress));
}

function settledLines({ vector, rejected }: BodyOf<'FULL_SYNC' | 'DELTA_SYNC'>): string[] {
  return [
    ...vector.map(({ replica, counter }) => line('SEEN', replica, counter)),
    ...rejected.map(({ replica, counter, reason }) => line('REFUSED', replica, counter, reason)),
  ];
}

/** A snapshot has no order, so its text has one: that of the keys' UTF-8 bytes. */
function sortedByKey(records: BodyOf<'FULL_SYNC'>['records']): BodyOf<'FULL_SYNC'>['records'] {
  return [...records].sort((left, right) => compareUtf8(left.key, right.key));
}

/**
 * A message as text: the line `FROM:<sender>:<sequence>` and the lines of its body, each ended by a newline.
 * @throws SyncError `SCHEMA_MISMATCH`, `VALUE_INVALID`, `LIMIT_DEPTH`, `LIMIT_LINE_LENGTH`, `LIMIT_LINES` for what could not be read again
 */
export function formatMessage(message: Message, options: FormatOptions = {}): string {
  return finish([line('FROM', message.sender, message.sequence), ...bodyLines(message, options)], options);
}

/** {@link formatMessage} without the `FROM` line: for the named messages exactly what the document gives. */
export function formatBody(body: MessageBody, options: FormatOptions = {}): string {
  return finish(bodyLines(body, options), options);
}

function bodyLines<T extends MessageType>(body: { readonly type: T }, options: FormatOptions): string[] {
  const { type } = body;
  const checked = MESSAGES[type].schema.parse(body, type) as object;
  const format = formatters[type];
  return format ? format({ ...checked, type } as BodyOf<T>, options) : [line(textKeyword(type), json(checked))];
}

function finish(lines: readonly string[], { limits = TEXT_LIMITS }: FormatOptions): string {
  if (lines.length > limits.lines) refuse('LIMIT_LINES', `${lines.length} lines, at most ${limits.lines}`);
  const long = lines.find((one) => one.length > limits.line);
  if (long !== undefined) refuse('LIMIT_LINE_LENGTH', `a line of ${long.length} characters, at most ${limits.line}`);
  const text = `${lines.join('\n')}\n`;
  if (!text.isWellFormed()) refuse('VALUE_INVALID', 'text with a lone surrogate cannot be sent');
  return text;
}

function refuse(code: string, what: string): never {
  throw new SyncError(code, what, { origin: 'protocol' });
}
