import { isSyncError } from '../../errors/index.ts';
import type { OpenCapture } from '../engine.ts';

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
    this.first ??= position;
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
  const unanswered = new Map<string, number>();
  const receivedTwice = new Count();
  const received = new Set<string>();
  let reasons = '';
  let lastSeq = 0;
  let lastTime = 0;
  let dropped = 0;
  for (let position = 0; position < info.records; position++) {
    try {
      for await (const { record } of capture.trace(position, position + 1)) {
        const { seq, time, cause, body, replica } = record;
        if (time < lastTime) backwards.add(position);
        if (lastSeq > 0 && seq !== lastSeq + 1) jumps.add(position);
        if (cause.some((one) => one >= seq)) dangling.add(position);
        if (body.kind === 'fault') faults.add(position);
        if (body.kind === 'gap') {
          gaps.add(position);
          dropped += body.count;
        }
        if (body.kind === 'send') unanswered.set(`${body.sender} ${body.sequence} ${body.to}`, position);
        if (body.kind === 'receive') {
          const frame = `${body.sender} ${body.sequence} ${replica}`;
          if (received.has(frame)) receivedTwice.add(position);
          received.add(frame);
          unanswered.delete(frame);
        }
        lastSeq = seq;
        lastTime = time;
      }
    } catch (error) {
      if (!isSyncError(error)) throw error;
      if (unreadable.count === 0) reasons = `${error.code}: ${error.message}`;
      unreadable.add(position);
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
  tell('info', receivedTwice, (count) => `${several(count, 'frame')} arrived twice`);
  if (unanswered.size > 0) {
    symptoms.push({
      level: 'info',
      what: `${several(unanswered.size.toLocaleString('en-US'), 'frame')} sent, but not seen to arrive while it was recorded`,
      position: Math.min(...[...unanswered.values()].slice(0, 10_000)),
    });
  }
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
