import type { CaptureQuery, Row, RowsSoFar } from '@syncscope/protocol/capture';
import { describe, expect, it } from 'vitest';
import { findRows } from './rows.ts';

/** A search over 100 records of which every seventh passes, ten records a step. */
function searching(): { query: CaptureQuery; asked(): number } {
  let looked = 0;
  let asked = 0;
  const query: Pick<CaptureQuery, 'rowsSoFar'> = {
    async rowsSoFar(_filter, offset, limit, signal): Promise<RowsSoFar> {
      signal?.throwIfAborted();
      asked++;
      looked = Math.min(100, looked + 10);
      const found = Array.from({ length: Math.ceil(looked / 7) }, (_, at) => ({ position: at * 7 }) as Row);
      return { rows: found.slice(offset, offset + limit), offset, total: found.length, looked, of: 100 };
    },
  };
  // Only what the search asks of a capture.
  return { query: query as CaptureQuery, asked: () => asked };
}

describe('finding rows', () => {
  it('asks on until the rows wanted are there, and no further', async () => {
    const { query, asked } = searching();
    expect((await findRows(query, 'x', 3, 2)).map((row) => row.position)).toEqual([21, 28]);
    expect(asked()).toBe(3);
  });

  it('takes what there is where all is looked through', async () => {
    const { query, asked } = searching();
    expect((await findRows(query, 'x', 13, 5)).map((row) => row.position)).toEqual([91, 98]);
    expect(asked()).toBe(10);
  });

  it('ends with its signal', async () => {
    const { query } = searching();
    await expect(findRows(query, 'x', 0, 1, AbortSignal.abort())).rejects.toThrow();
  });
});
