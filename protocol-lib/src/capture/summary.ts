import { unreachable } from '../errors/index.ts';
import type { Ballot, MutationId, TraceRecord } from '../trace/index.ts';
import type { CaptureIndex } from './capture-index.ts';
import { KIND } from './envelope.ts';
import { isInputsText } from './inputs-text.ts';

/** Message types as people say them. */
const TYPE_WORDS: Readonly<Record<string, string>> = {
  DELTA_SYNC: 'delta',
  FULL_SYNC: 'full sync',
  SYNC_REQUEST: 'sync request',
  MERKLE_QUERY: 'merkle query',
  MERKLE_ANSWER: 'merkle answer',
};

export function typeWords(type: string): string {
  return TYPE_WORDS[type] ?? type.toLowerCase().replaceAll('_', ' ');
}

/** What a record is in a few words, as in the stream's rows. */
export function summarize(record: Pick<TraceRecord, 'body'>, index: CaptureIndex, position: number): string {
  const body = record.body;
  switch (body.kind) {
    case 'replica':
      return `${body.role}${body.title ? ` ${body.title}` : ''} appeared`;
    case 'gone':
      return `gone: ${body.reason}`;
    case 'send':
      return `${typeWords(body.type)}${deltaVersions(index, position)} to ${body.to}${index.isLost(position) ? ', lost' : ''}`;
    case 'receive': {
      const sent = index.columns.partner(position);
      return `${typeWords(body.type)}${sent >= index.start ? deltaVersions(index, sent) : ''} from ${body.from}`;
    }
    case 'refused':
      return `refused from ${body.from}: ${body.code}, ${body.message}`;
    case 'names':
      return `${counted(body.names.length, 'name')} of ${body.sender} from ${body.first}`;
    case 'commit':
      return `v${body.version} ${body.event.type}${body.event.player ? ` by ${body.event.player}` : ''}${body.event.detail ? `: ${body.event.detail}` : ''}`;
    case 'delta':
      return `made ${body.from}→${body.to}, ${counted(body.count, 'change')}`;
    case 'apply':
      return `applied ${body.from}→${body.to}, ${counted(body.changes.length, 'change')}`;
    case 'mismatch':
      return mismatchText(body);
    case 'snapshot':
      return `snapshot v${body.version}, ${counted(body.records.length, 'record')} (${body.reason})`;
    case 'hash':
      return hashText(body);
    case 'vector':
      return `vector ${body.vector.map((one) => `${one.replica}:${one.counter}`).join(' ')}`;
    case 'prediction':
      return `predicted ${body.command} ${mutationText(body.mutation)} on v${body.version}`;
    case 'confirmation':
      return `confirmed ${mutationText(body.mutation)} at v${body.version}`;
    case 'rollback':
      return `rolled back ${mutationText(body.mutation)}: ${body.reason}`;
    case 'rejection':
      return `rejected ${mutationText(body.mutation)}: ${body.reason}`;
    case 'rebase':
      return `rebased ${body.pending.length} pending on v${body.version}`;
    case 'divergence':
      return `differs from ${body.against} at v${body.version} in ${counted(body.differences.length, 'record')}`;
    case 'repair':
      return `repaired at v${body.version} by ${body.method}, ${body.bytes} B`;
    case 'fault':
      return `fault ${body.fault} ${body.phase}${body.target ? ` for ${body.target}` : ''}${body.detail ? `: ${body.detail}` : ''}`;
    case 'gap':
      return `${counted(body.count, 'record')} lost: ${body.reason}`;
    case 'log':
      return isInputsText(body.text) && body.text.startsWith('inputs') ? 'inputs recorded for replay' : body.text;
    case 'health':
      return healthText(body);
    case 'pressure':
      return pressureText(body);
    case 'view':
      return `sees ${counted(body.records, 'record')} at v${body.version}${body.view ? `, view ${body.view}` : ''}`;
    case 'proposal':
      return `${body.phase} v${body.version} ${ballotText(body.ballot)}${body.command ? ` ${body.command}` : ''}${because(body.reason)}`;
    case 'vote':
      return `${body.answer} (${body.phase}) v${body.version} ${ballotText(body.ballot)}${because(body.reason)}`;
    case 'conflict':
      return conflictText(body);
    case 'partition':
      return `${sideText(body)}: reaches ${body.reachable.length} of ${body.members.length}${because(body.detail)}`;
    case 'presence':
      return `${body.target} ${body.state}${body.device ? ` on ${body.device}` : ''}${because(body.detail)}`;
    case 'operation':
      return `${body.crdt} ${body.writer}:${body.counter}${because(body.detail)}`;
    default:
      return unreachable(body);
  }
}

/** A minority is cut off: which side of the cut the writer is on. */
function sideText({ state, reachable, members }: Extract<TraceRecord['body'], { kind: 'partition' }>): string {
  if (state !== 'minority') return state;
  return reachable.length * 2 > members.length
    ? 'a minority is cut off, here is the majority'
    : 'cut off with a minority';
}

function because(reason: string): string {
  return reason ? `: ${reason}` : '';
}

function ballotText(ballot: Ballot): string {
  return `ballot ${ballot.round}.${ballot.proposer}`;
}

function conflictText(body: Extract<TraceRecord['body'], { kind: 'conflict' }>): string {
  const where = body.field === undefined ? body.key : `${body.key} · ${body.field}`;
  if (body.state === 'waiting') return `${where} waits for a decision`;
  const winner = body.winner ? `, ${body.winner} wins` : '';
  return `${where} ${body.state} by ${body.policy}${winner}${because(body.reason)}`;
}

/** ` 117→118` where the frame was made of a delta record. */
function deltaVersions(index: CaptureIndex, position: number): string {
  const columns = index.columns;
  const cause = columns.cause(position);
  if (cause < index.start || columns.kind(cause) !== KIND.delta) return '';
  return ` ${columns.high(cause)}→${columns.number(cause)}`;
}

function pressureText(body: Extract<TraceRecord['body'], { kind: 'pressure' }>): string {
  const kept = `${counted(body.droppedEvents, 'event')} dropped, ${counted(body.heldRounds, 'round')} held`;
  if (body.state === 'dropped') return `${body.target} was dropped as too slow: ${body.text}`;
  if (body.state === 'slow') return `the link to ${body.target} is slow, ${body.queued} B wait`;
  return `the link to ${body.target} has room again; ${kept} so far`;
}

function healthText(body: Extract<TraceRecord['body'], { kind: 'health' }>): string {
  if (body.state === 'recovered') return `${body.target} progresses again at v${body.version}`;
  const behind = body.lag > 0 ? `, ${counted(body.lag, 'version')} behind` : '';
  return `${body.target} is connected but not progressing (${body.stalls.join(', ')}) at v${body.version}${behind}`;
}

function mismatchText(body: Extract<TraceRecord['body'], { kind: 'mismatch' }>): string {
  switch (body.reason) {
    case 'base':
      return `delta ${body.from}→${body.to} does not fit v${body.version}`;
    case 'record':
      return `delta ${body.from}→${body.to} changes a missing record at v${body.version}`;
    case 'root':
      return `delta ${body.from}→${body.to} gives ${short(body.got)} ≠ ${short(body.expected)}`;
    case 'heartbeat':
      return `own ${short(body.own)} ≠ ${short(body.expected)} at v${body.version}`;
    default:
      return unreachable(body.reason);
  }
}

function hashText(body: Extract<TraceRecord['body'], { kind: 'hash' }>): string {
  const own = `${short(body.own)} at v${body.version}`;
  if (body.reference === undefined && body.agrees === undefined) return own;
  return body.agrees === false ? `${short(body.own)} ≠ ${short(body.reference)} at v${body.version}` : `${own} agrees`;
}

export function short(hash: string | undefined): string {
  return hash ? `${hash.slice(0, 8)}…` : '?';
}

export function mutationText(mutation: MutationId): string {
  return `${mutation.writer}#${mutation.counter}`;
}

export function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`;
}
