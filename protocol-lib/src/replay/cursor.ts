import type { CaptureQuery, MarkerKind, Row } from '../capture/index.ts';
import { SyncError } from '../errors/index.ts';
import { milliseconds } from '../ports/index.ts';

/** What one step goes over. `version`: to the next commit; `tick`: to the end of the next interval of the cursor's tick. */
export type StepUnit = 'record' | 'message' | 'version' | 'tick' | 'marker';

export interface CursorOptions {
  /** Nanoseconds; 50 ms where absent. */
  readonly tick?: number;
}

const DEFAULT_TICK = milliseconds(50);
const PAGE = 256;

/**
 * A place in a capture, moved by steps in both directions or by the passing of time. Has no timer: whoever plays says how much time
 * went by, at whatever speed. A position of -1 is before everything.
 */
export class ReplayCursor {
  readonly #query: CaptureQuery;
  readonly #tick: number;
  #position = -1;
  #time = 0;

  /** @throws RangeError where the tick is no positive number */
  constructor(query: CaptureQuery, { tick = DEFAULT_TICK }: CursorOptions = {}) {
    if (!(tick > 0)) throw new RangeError(`a tick is a positive number of nanoseconds, not ${tick}`);
    this.#query = query;
    this.#tick = tick;
  }

  get position(): number {
    return this.#position;
  }

  /** Nanoseconds since the session began; between records while playing. */
  get time(): number {
    return this.#time;
  }

  /** @throws SyncError `POSITION_OUTSIDE` */
  async seek(position: number): Promise<number> {
    const { records } = await this.#query.info();
    if (!Number.isSafeInteger(position) || position < -1 || position >= records) {
      const text = `position ${position} is not from -1 to ${records - 1}`;
      throw new SyncError('POSITION_OUTSIDE', text, { origin: 'query' });
    }
    return this.#set(position);
  }

  /** To the state at a time. */
  async seekTime(time: number): Promise<number> {
    const { range } = await this.#query.info();
    this.#time = Math.min(Math.max(time, 0), range.to);
    this.#position = await this.#query.positionAt(this.#time);
    return this.#position;
  }

  /** Lets so many nanoseconds go by at a speed, 2 being twice as fast and a negative one backwards. Answers the position. */
  advance(nanoseconds: number, speed = 1): Promise<number> {
    return this.seekTime(this.#time + nanoseconds * speed);
  }

  /**
   * One step forwards (1) or backwards (-1), for markers to the next of a kind where given. Stays at the last record, and goes before
   * the first, where there is no further stop. Answers the position.
   */
  async step(unit: StepUnit, direction: 1 | -1, kind?: MarkerKind): Promise<number> {
    const { records } = await this.#query.info();
    switch (unit) {
      case 'record':
        return this.#set(Math.min(Math.max(this.#position + direction, -1), records - 1));
      case 'message':
        return this.#set(await this.#find(direction, records, isMessage));
      case 'version':
        return this.#set(await this.#find(direction, records, ({ kind: of }) => of === 'commit'));
      case 'marker': {
        const marker = await this.#query.nextMarker(this.#position, direction, kind);
        return marker ? this.#set(marker.position) : this.#position;
      }
      case 'tick': {
        const ticks = this.#time / this.#tick;
        return this.seekTime((direction > 0 ? Math.floor(ticks) + 1 : Math.ceil(ticks) - 1) * this.#tick);
      }
    }
  }

  async #set(position: number): Promise<number> {
    this.#position = position;
    this.#time = position < 0 ? 0 : (await this.#query.record(position)).record.time;
    return position;
  }

  /** The next row in a direction that is a stop; without one the present place forwards, and before everything backwards. */
  async #find(direction: 1 | -1, records: number, isStop: (row: Row) => boolean): Promise<number> {
    let at = this.#position + direction;
    while (at >= 0 && at < records) {
      const offset = direction > 0 ? at : Math.max(0, at - PAGE + 1);
      const { rows } = await this.#query.rows('', offset, direction > 0 ? PAGE : at - offset + 1);
      const found = direction > 0 ? rows.find(isStop) : rows.findLast(isStop);
      if (found) return found.position;
      if (rows.length === 0) break;
      at = direction > 0 ? offset + rows.length : offset - 1;
    }
    return direction > 0 ? this.#position : -1;
  }
}

function isMessage({ kind }: Row): boolean {
  return kind === 'send' || kind === 'receive';
}
