import type { CaptureQuery, Row } from '@syncscope/protocol/capture';

/**
 * The rows that pass a filter, from the `offset`-th passing one, without waiting for what comes behind them: the search ends with
 * the last row that is asked for.
 */
export async function findRows(
  query: CaptureQuery,
  filter: string,
  offset: number,
  limit: number,
  signal?: AbortSignal,
): Promise<readonly Row[]> {
  for (;;) {
    const { rows, looked, of } = await query.rowsSoFar(filter, offset, limit, signal);
    if (rows.length >= limit || looked >= of) return rows;
  }
}
