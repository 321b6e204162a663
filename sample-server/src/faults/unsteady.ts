import type { Change, Value } from '@syncscope/protocol/state';
import type { Reducer, SessionDefinition } from '@syncscope/protocol/sync';

/** An authority runs a reducer twice for each event, to compare. */
const RUNS = 2;

/** The reducer of one replica, which answers as it should until it is made unsteady: then each run of it comes to something else. */
export class UnsteadyReducer {
  readonly #reduce: Reducer;
  /** Runs that are still to go wrong. */
  #left = 0;
  #runs = 0;

  constructor(reduce: Reducer) {
    this.#reduce = reduce;
  }

  /** The same rules with this reducer. */
  static in(definition: SessionDefinition): {
    readonly definition: SessionDefinition;
    readonly reducer: UnsteadyReducer;
  } {
    const reducer = new UnsteadyReducer(definition.reduce);
    return { definition: { ...definition, reduce: (state, event) => reducer.run(state, event) }, reducer };
  }

  /** For so many events to come. */
  disturb(events: number): void {
    this.#left += events * RUNS;
  }

  run(...[state, event]: Parameters<Reducer>): readonly Change[] {
    const changes = this.#reduce(state, event);
    if (this.#left === 0) return changes;
    const at = changes.findIndex((one) => one.op !== 'remove');
    const change = changes[at];
    // What cannot go wrong does not count.
    if (!change || change.op === 'remove') return changes;
    this.#left--;
    this.#runs++;
    return changes.with(at, disturbed(change, this.#runs));
  }
}

/** As if the reducer had read a clock, or had counted its own runs. */
function disturbed(change: Exclude<Change, { op: 'remove' }>, by: number): Change {
  const fields: Readonly<Record<string, Value>> = change.op === 'put' ? change.record : change.fields;
  const name = Object.keys(fields)
    .sort()
    .find((one) => typeof fields[one] === 'number');
  const wrong = name === undefined ? { ...fields, disturbed: by } : { ...fields, [name]: Number(fields[name]) + by };
  return change.op === 'put' ? { ...change, record: wrong } : { ...change, fields: wrong };
}
