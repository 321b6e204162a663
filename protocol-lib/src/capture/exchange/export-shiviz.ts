import type { ReplicaId } from '../../state/index.ts';
import type { TraceRecord } from '../../trace/index.ts';
import type { OpenCapture } from '../engine.ts';
import { passing } from './passing.ts';

/** The regular expression by which ShiViz reads {@link exportShiViz}'s lines; also what {@link importShiViz} assumes. */
export const SHIVIZ_PATTERN = '(?<host>\\S+) (?<clock>\\{.*\\})\\n(?<event>.*)';
/** Records whose clock is remembered for what they cause. */
const MAX_REMEMBERED = 200_000;

type Clock = Readonly<Record<string, number>>;

/**
 * A log for ShiViz (Beschastnikh et al., Debugging Distributed Systems, 2016): two lines a record, the replica with its vector clock, and what
 * happened. Clocks are counted here, one tick a record, from the order of each replica, from causes, and from sends to receipts. Where a filter leaves
 * records out, these do not tick, and what happened before what through them stays so.
 */
export async function* exportShiViz(capture: OpenCapture, filter = ''): AsyncGenerator<string> {
  const clocks = new VectorClocks();
  const all = capture.trace()[Symbol.asyncIterator]();
  try {
    for await (const { position, record, summary } of passing(capture, filter)) {
      for (let next = await all.next(); !next.done && next.value.position < position; next = await all.next()) {
        clocks.of(next.value.record, false);
      }
      const clock = clocks.of(record, true);
      yield `${record.replica} ${JSON.stringify(clock)}\n${summary.replaceAll(/[\r\n]+/g, ' ')}\n`;
    }
  } finally {
    await all.return?.(undefined);
  }
}

class VectorClocks {
  readonly #last = new Map<ReplicaId, Clock>();
  readonly #bySeq = new Map<number, Clock>();
  /** By sender, sequence and receiver: frames that have not arrived. */
  readonly #sent = new Map<string, Clock>();

  /** The clock after a record, which ticks where the log has it. */
  of(record: TraceRecord, isTold: boolean): Clock {
    const { replica, seq, cause, body } = record;
    const clock: Record<string, number> = { ...this.#last.get(replica) };
    for (const one of cause) join(clock, this.#bySeq.get(one));
    if (body.kind === 'receive') {
      const frame = `${body.sender} ${body.sequence} ${replica}`;
      join(clock, this.#sent.get(frame));
      this.#sent.delete(frame);
    }
    if (isTold) clock[replica] = (clock[replica] ?? 0) + 1;
    if (body.kind === 'send') remember(this.#sent, `${body.sender} ${body.sequence} ${body.to}`, clock);
    this.#last.set(replica, clock);
    remember(this.#bySeq, seq, clock);
    return clock;
  }
}

function join(clock: Record<string, number>, other: Clock | undefined): void {
  for (const [replica, count] of Object.entries(other ?? {})) clock[replica] = Math.max(clock[replica] ?? 0, count);
}

function remember<K>(map: Map<K, Clock>, key: K, clock: Clock): void {
  map.set(key, clock);
  if (map.size > MAX_REMEMBERED) map.delete(map.keys().next().value!);
}
