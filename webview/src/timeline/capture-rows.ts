import type { CaptureQuery, Row } from '@syncscope/protocol/capture';
import type { Mark } from './scene.ts';

/** Rows by position, the recent ones kept: a record never changes once it is in a capture. */
export interface CaptureRows {
  /** The row of a record; undefined where there is none. Rejects as the query does. */
  at(position: number): Promise<Row | undefined>;
  /** The row if it is here already. */
  peek(position: number): Row | undefined;
}

const KEPT = 512;

export function captureRows(query: Pick<CaptureQuery, 'rows'>): CaptureRows {
  const kept = new Map<number, Row>();
  /** Records that a live capture has let go of: its offsets begin after them. */
  let dropped = 0;

  async function ask(position: number): Promise<Row | undefined> {
    // Without a filter every record passes, so that the offset is the position but for those dropped.
    const at = async (offset: number): Promise<Row | undefined> => (await query.rows('', offset, 1)).rows[0];
    const row = position >= dropped ? await at(position - dropped) : undefined;
    if (row?.position === position) return row;
    dropped = (await at(0))?.position ?? 0;
    return position >= dropped ? at(position - dropped) : undefined;
  }

  return {
    peek: (position) => kept.get(position),
    async at(position) {
      const known = kept.get(position);
      if (known) return known;
      if (position < 0) return undefined;
      const row = await ask(position);
      if (!row || row.position !== position) return undefined;
      kept.set(position, row);
      const oldest = kept.keys().next();
      if (kept.size > KEPT && !oldest.done) kept.delete(oldest.value);
      return row;
    },
  };
}

export function markOf(row: Row): Mark {
  return { position: row.position, time: row.time, replica: row.replica, kind: row.kind, severity: row.severity };
}
