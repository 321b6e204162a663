import { NameTables } from '../messages/index.ts';
import type { CaptureIndex } from './capture-index.ts';
import type { RecordReader } from './store.ts';

/** The names that frames refer to by number, as they were known at a position. */
export class FrameNames {
  readonly #index: CaptureIndex;
  readonly #records: RecordReader;
  /** Names told by records that a live capture has dropped. */
  #dropped = new NameTables();
  #tables: NameTables | undefined;
  #upTo = -1;

  constructor(index: CaptureIndex, records: RecordReader) {
    this.#index = index;
    this.#records = records;
  }

  async at(position: number): Promise<NameTables> {
    const isExtension = this.#tables !== undefined && this.#upTo <= position;
    const tables = isExtension ? this.#tables! : this.#dropped.clone();
    const { names } = this.#index;
    const positions = names.slice(
      names.countBelow(isExtension ? this.#upTo + 1 : this.#index.start),
      names.countBelow(position + 1),
    );
    const bodies = [];
    for (const one of positions) bodies.push((await this.#records.readKind(one, 'names')).body);
    for (const body of bodies) {
      try {
        tables.add(body.sender, body.first, body.names);
      } catch {
        // Names before these are missing: frames that use them say so when they are decoded.
      }
    }
    this.#tables = tables;
    this.#upTo = position;
    return tables.clone();
  }

  /** Works out what the records before `position` told, which are about to be dropped. */
  async prepareDrop(position: number): Promise<() => void> {
    const tables = await this.at(position - 1);
    return () => {
      this.#dropped = tables;
      this.#tables = undefined;
    };
  }

  /** Every table as of the first record kept. */
  get dropped(): NameTables {
    return this.#dropped;
  }
}
