import { isSyncError } from '../../errors/index.ts';
import type { TraceRecord } from '../../trace/index.ts';
import type { OpenCapture } from '../engine.ts';
import { SeenFrames } from './seen-frames.ts';

/** Something that a capture has or lacks. `warning`: it can be used, but not all of it. */
export interface Symptom {
  readonly level: 'info' | 'warning';
  readonly what: string;
  /** Position of the first record that shows it. */
  readonly position?: number;
}

export interface Examination {
  readonly records: number;
  readonly symptoms: readonly Symptom[];
}

/** Counts, and keeps the first place. */
class Count {
  count = 0;
  first: number | undefined;

  add(position: number): void {
    this.count++;
    this.first = Math.min(position, this.first ?? position);
  }
}

/** What was sent and what arrived, in a few bytes a frame. */
class Frames {
  readonly receivedTwice = new Count();
  readonly #sent = new SeenFrames();
  readonly #received = new SeenFrames();

  take(position: number, { body, replica }: TraceRecord): void {
    if (body.kind === 'send') {
      this.#sent.add({ sender: body.sender, sequence: body.sequence, receiver: body.to }, position);
    } else if (body.kind === 'receive') {
      const isNew = this.#received.add({ sender: body.sender, sequence: body.sequence, receiver: replica }, position);
      if (!isNew) this.receivedTwice.add(position);
    }
  }

  /** Those that were sent, and not seen to arrive. */
  unanswered(): Count {
    const unanswered = new Count();
    for (const [frame, position] of this.#sent.all()) {
      if (this.#received.get(frame) === undefined) unanswered.add(position);
    }
    return unanswered;
  }
}

/** Reads every record of a capture and tells what is wrong with it, or unusual. */
export async function examine(capture: OpenCapture): Promise<Examination> {
  const info = await capture.info();
  const unreadable = new Count();
  const backwards = new Count();
  const dangling = new Count();
  const jumps = new Count();
  const faults = new Count();
  const gaps = new Count();
  const frames = new Frames();
  let reasons = '';
  let lastSeq = 0;
  let lastTime = 0;
  let dropped = 0;
  for (let next = 0; next < info.records; next++) {
    try {
      // From there to the end, or to the next that cannot be read.
      for await (const { position, record } of capture.trace(next, info.records)) {
        next = position + 1;
        const { seq, time, cause, body } = record;
        if (time < lastTime) backwards.add(position);
        if (lastSeq > 0 && seq !== lastSeq + 1) jumps.add(position);
        if (cause.some((one) => one >= seq)) dangling.add(position);
        if (body.kind === 'fault') faults.add(position);
        if (body.kind === 'gap') {
          gaps.add(position);
          dropped += body.count;
        }
        frames.take(position, record);
        lastSeq = seq;
        lastTime = time;
      }
    } catch (error) {
      if (!isSyncError(error)) throw error;
      if (unreadable.count === 0) reasons = `${error.code}: ${error.message}`;
      unreadable.add(next);
    }
  }
  const symptoms: Symptom[] = [];
  const tell = (level: Symptom['level'], { count, first }: Count, what: (count: string) => string): void => {
    if (count === 0) return;
    symptoms.push({
      level,
      what: what(count.toLocaleString('en-US')),
      ...(first === undefined ? {} : { position: first }),
    });
  };
  if (info.cut)
    symptoms.push({
      level: 'warning',
      what: `the file is not whole: ${info.cut.message} (offset ${info.cut.offset})`,
    });
  tell('warning', unreadable, (count) => `${several(count, 'record')} cannot be read; the first: ${reasons}`);
  tell(
    'warning',
    gaps,
    () => `${several(dropped.toLocaleString('en-US'), 'record')} dropped before the capture got them`,
  );
  tell(
    'warning',
    jumps,
    (count) => `numbers jump ${several(count, 'time')}: records are missing that nothing tells of`,
  );
  tell('warning', backwards, (count) => `time goes back ${several(count, 'time')}`);
  tell('warning', dangling, (count) => `causes named by ${several(count, 'record')} come only later`);
  tell('info', frames.receivedTwice, (count) => `${several(count, 'frame')} arrived twice`);
  tell(
    'info',
    frames.unanswered(),
    (count) => `${several(count, 'frame')} sent, but not seen to arrive while it was recorded`,
  );
  tell(
    'info',
    faults,
    (count) => `${several(count, 'fault')} asked for: this is not a session as it would have gone by itself`,
  );
  return { records: info.records, symptoms };
}

function several(count: string, noun: string): string {
  return `${count} ${noun}${count === '1' ? '' : 's'}`;
}
