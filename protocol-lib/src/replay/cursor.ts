import { combinedFilter } from '../capture/filter-syntax.ts';
import type { CaptureQuery, MarkerKind } from '../capture/index.ts';
import { SyncError } from '../errors/index.ts';
import { milliseconds } from '../ports/index.ts';

/** What one step goes over. `version`: to the next commit; `tick`: to the end of the next interval of the cursor's tick. */
export const STEP_UNITS = ['record', 'message', 'version', 'tick', 'marker'] as const;
export type StepUnit = (typeof STEP_UNITS)[number];

/** Filters of the records at which a step may stop, see docs/filter.md. */
const STOPS = { message: 'kind:send|receive', version: 'kind:commit' } as const;

export interface CursorOptions {
  /** Nanoseconds; 50 ms where absent. */
  readonly tick?: number;
}

export const DEFAULT_TICK = milliseconds(50);

export interface StepOptions {
  readonly kind?: MarkerKind;
  readonly filter?: string;
}

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
    // Records are at whole nanoseconds; what goes by between two frames of a screen need not be.
    this.#position = await this.#query.positionAt(Math.floor(this.#time));
    return this.#position;
  }

  /** Lets so many nanoseconds go by at a speed, 2 being twice as fast and a negative one backwards. Answers the position. */
  advance(nanoseconds: number, speed = 1): Promise<number> {
    return this.seekTime(this.#time + nanoseconds * speed);
  }

  /**
   * One step forwards (1) or backwards (-1), for markers to the next of a kind where given. A step over records, messages or versions passes
   * over what `filter` hides. Stays where it is, and goes before the first record, where there is no further stop. Answers the position.
   * @throws SyncError what the filter's reader throws
   */
  async step(unit: StepUnit, direction: 1 | -1, { kind, filter = '' }: StepOptions = {}): Promise<number> {
    switch (unit) {
      case 'record':
        return this.#set(await this.#find(direction, filter));
      case 'message':
      case 'version':
        return this.#set(await this.#find(direction, combinedFilter(filter, 'and', STOPS[unit])));
      case 'marker': {
        const marker = await this.#query.nextMarker(this.#position, direction, kind);
        return marker ? this.#set(marker.position) : this.#position;
      }
      case 'tick': {
        const { range } = await this.#query.info();
        // Before the first record there is nothing that a tick could show.
        const ticks = (direction > 0 ? Math.max(this.#time, range.from) : this.#time) / this.#tick;
        return this.seekTime((direction > 0 ? Math.floor(ticks) + 1 : Math.ceil(ticks) - 1) * this.#tick);
      }
    }
  }

  async #set(position: number): Promise<number> {
    this.#position = position;
    this.#time = position < 0 ? 0 : (await this.#query.record(position)).record.time;
    return position;
  }

  /** The next row in a direction that passes; without one the present place forwards, and before everything backwards. */
  async #find(direction: 1 | -1, filter: string): Promise<number> {
    const behind = await this.#query.rowIndex(filter, direction > 0 ? this.#position + 1 : Math.max(this.#position, 0));
    const index = direction > 0 ? behind : behind - 1;
    const found = index < 0 ? undefined : (await this.#query.rows(filter, index, 1)).rows[0];
    return found?.position ?? (direction > 0 ? this.#position : -1);
  }
}
