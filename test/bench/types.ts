/** One measured figure. `peer` and `ratio` come from the peer measured in the same run, and are null where there is none. */
export interface Figure {
  readonly name: string;
  readonly value: number;
  /** Such as `us`, `ms`, `B`, `records/s`. */
  readonly unit: string;
  readonly peer: string | null;
  /** Ours divided by the peer's, in the figure's own unit: below 1 we are smaller. */
  readonly ratio: number | null;
  /** For people, in the table only: the setting, or what the peer does less. */
  readonly note?: string;
}

/** Measures one subject. A file of this folder offers its benchmarks as `export const benches: readonly Bench[]`. */
export interface Bench {
  /** What `--only` selects by, whole or up to a dot: figures are named `name` or `name.something`. */
  readonly name: string;
  /** Takes minutes: only run where it is named whole, or with `--full`. */
  readonly isLong?: boolean;
  run(): Promise<Figure[]>;
}
