import type { CaptureQuery, Row, VectorMatrix } from '@syncscope/protocol/capture';
import { replicaId } from '@syncscope/protocol/state';
import { describe, expect, it } from 'vitest';
import { findMissing } from './vectors-missing.ts';
import { arrangeMatrix, DEPTHS, describeCell, missingOf, vectorCells } from './vectors-model.ts';

const [server, bot1, bot2] = ['server', 'bot-1', 'bot-2'].map(replicaId) as [
  ReturnType<typeof replicaId>,
  ReturnType<typeof replicaId>,
  ReturnType<typeof replicaId>,
];

const matrix: VectorMatrix = {
  replicas: [server, bot1, bot2],
  writers: [bot1, bot2],
  cells: [
    [40, 9],
    [41, 9],
    [25, -1],
  ],
  concurrent: [[bot1, bot2]],
  vectors: [],
};

it('is arranged as the lanes are, each number staying with its replica and its writer', () => {
  const arranged = arrangeMatrix(matrix, [bot2, server]);
  expect(arranged.replicas).toEqual([bot2, server, bot1]);
  expect(arranged.writers).toEqual([bot2, bot1]);
  expect(arranged.cells).toEqual([
    [-1, 25],
    [9, 40],
    [9, 41],
  ]);
});

describe('vectorCells', () => {
  const cells = vectorCells(matrix);

  it('measures lag against whoever has seen most', () => {
    expect(cells.map((row) => row.map((cell) => cell.lag))).toEqual([
      [1, 0],
      [0, 0],
      [16, 0],
    ]);
  });

  it('colours the deeper the more is lacking, a lag of one already', () => {
    const depths = [0, 1, 8, 1_000].map(
      (lag) => vectorCells({ ...matrix, cells: [[1_000], [1_000 - lag]] })[1]![0]!.depth,
    );
    expect(depths).toEqual([0, 1, 3, DEPTHS]);
  });

  it('marks own cells and concurrent pairs, either way round', () => {
    expect(cells[1]![0]).toMatchObject({ isOwn: true, isConcurrent: false });
    expect(cells[1]![1]).toMatchObject({ isOwn: false, isConcurrent: true });
    expect(cells[2]![0]).toMatchObject({ isConcurrent: true });
  });

  it('says what one has that another lacks', () => {
    expect(missingOf(matrix, cells[2]![0]!)).toEqual({ from: 26, to: 41, holders: [server, bot1] });
    expect(missingOf(matrix, cells[2]![1]!)).toBeUndefined();
    expect(describeCell(cells[2]![0]!)).toBe(
      'bot-2 has seen 25 of 41 of bot-1’s mutations and lacks 16; bot-2 and bot-1 are concurrent',
    );
    expect(describeCell(cells[2]![1]!)).toContain('not known');
    expect(describeCell(cells[0]![1]!)).toBe('server has seen all 9 of bot-2’s mutations');
  });
});

describe('findMissing', () => {
  // Predictions of bot-1 at even positions, numbered from 1; commits of all but the last five right after.
  const kindAt = (position: number) => (position % 2 === 0 ? 'prediction' : 'commit');
  const positions = Array.from({ length: 200 }, (_, position) => position).filter(
    (position) => position % 2 === 0 || position < 190,
  );
  const passing = (filter: string) => positions.filter((position) => filter.includes(kindAt(position)));
  const row = (position: number): Row => ({
    position,
    seq: position + 1,
    time: position,
    replica: bot1,
    kind: kindAt(position),
    summary: '',
    bytes: 0,
    severity: 'none',
  });
  let read = 0;
  const query = {
    rowIndex: async (filter: string, position: number) => {
      const index = passing(filter).findIndex((one) => one >= position);
      return index < 0 ? passing(filter).length : index;
    },
    rowsSoFar: async (filter: string, offset: number, limit: number) => ({
      rows: passing(filter)
        .slice(offset, offset + limit)
        .map(row),
      offset,
      total: passing(filter).length,
      looked: 200,
      of: 200,
    }),
    record: async (position: number) => {
      read++;
      const mutation = { writer: bot1, counter: Math.floor(position / 2) + 1 };
      const body = kindAt(position) === 'prediction' ? { kind: 'prediction', mutation } : { kind: 'commit', mutation };
      return { position, row: row(position), record: { body } };
    },
    // Only what the search asks of a capture.
  } as unknown as CaptureQuery;

  it('finds the newest by their numbers, committed where they were, and counts the others', async () => {
    const { found, more } = await findMissing(query, bot1, 50, 97, 199, new AbortController().signal);
    expect(found.map((one) => one.counter)).toEqual([97, 96, 95, 94, 93, 92, 91, 90, 89, 88, 87, 86]);
    expect(found.map((one) => one.row.kind).slice(0, 4)).toEqual(['prediction', 'prediction', 'commit', 'commit']);
    expect(more).toBe(36);
  });

  it('looks no further than the playhead and stops where it has found all', async () => {
    read = 0;
    const { found } = await findMissing(query, bot1, 10, 12, 21, new AbortController().signal);
    expect(found.map((one) => [one.counter, one.row.position])).toEqual([
      [11, 21],
      [10, 19],
    ]);
    expect(read).toBeLessThanOrEqual(60);
  });
});
