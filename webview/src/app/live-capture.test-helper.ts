import { encodeTraceRecord, LiveCapture } from '@syncscope/protocol/capture';
import { replicaId, stateHash } from '@syncscope/protocol/state';
import { TRACE_VERSION, type TraceBody, type TraceHeader } from '@syncscope/protocol/trace';
import { grow, resetState } from './store.ts';

export const header: TraceHeader = {
  sessionId: 's',
  title: 't',
  scenario: 'x',
  traceVersion: TRACE_VERSION,
  protocolVersion: 1,
  startedAt: 0,
  authority: replicaId('server'),
  build: 'test',
};
export const MS = 1_000_000;
const ROUND = ['server', 'bot-1', 'bot-2'] as const;

/** Every fourth is a hash, every tenth from 5 on a message, every tenth from 7 on a version; the others are log lines. */
function bodyOf(index: number): TraceBody {
  const root = stateHash('0'.repeat(16));
  if (index % 4 === 0) return { kind: 'hash', version: index, own: root };
  if (index % 10 === 5) {
    return { kind: 'receive', from: replicaId('server'), type: 'ACK', sender: replicaId('server'), sequence: index };
  }
  if (index % 10 === 7) {
    return { kind: 'commit', version: index, event: { type: 'go', player: 'bot-1', detail: '' }, changes: [], root };
  }
  return { kind: 'log', level: 'info', text: `line ${index}` };
}

/** Records 10 ms apart, of three replicas by turns. */
function capture(count: number): LiveCapture {
  const live = new LiveCapture(header);
  for (let index = 0; index < count; index++) {
    const body = bodyOf(index);
    live.append(
      encodeTraceRecord({
        seq: index + 1,
        time: index * 10 * MS,
        replica: replicaId(ROUND[index % 3]!),
        cause: [],
        body,
      }),
    );
  }
  return live;
}

/** Such a capture, opened: nothing is selected. */
export function openLive(count: number): LiveCapture {
  const live = capture(count);
  resetState();
  grow(count, { from: 0, to: count * 10 * MS });
  return live;
}
