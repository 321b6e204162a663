import type { VectorMatrix } from '@syncscope/protocol/capture';
import type { ReplicaId } from '@syncscope/protocol/state';

/** How much of one writer's mutations one replica has seen. */
export interface VectorCell {
  readonly replica: ReplicaId;
  readonly writer: ReplicaId;
  /** -1 where unknown. */
  readonly seen: number;
  /** Of these many, known to any replica. */
  readonly known: number;
  /** Mutations that another replica has and this one lacks; 0 where unknown. */
  readonly lag: number;
  readonly isOwn: boolean;
  /** Neither of the two has seen all that the other has. */
  readonly isConcurrent: boolean;
  /** 0 for no lag, else 1 to {@link DEPTHS}. */
  readonly depth: number;
}

/** The same matrix with rows and columns in this order; whom it does not name comes after. */
export function arrangeMatrix(matrix: VectorMatrix, order: readonly ReplicaId[]): VectorMatrix {
  const place = new Map(order.map((replica, index) => [replica, index]));
  const sorted = (replicas: readonly ReplicaId[]): number[] =>
    replicas
      .map((_, index) => index)
      .sort((a, b) => (place.get(replicas[a]!) ?? order.length) - (place.get(replicas[b]!) ?? order.length));
  const rows = sorted(matrix.replicas);
  const columns = sorted(matrix.writers);
  return {
    ...matrix,
    replicas: rows.map((row) => matrix.replicas[row]!),
    writers: columns.map((column) => matrix.writers[column]!),
    cells: rows.map((row) => columns.map((column) => matrix.cells[row]?.[column] ?? -1)),
  };
}

/** The matrix row by row, with what each number means next to the others. */
export function vectorCells(matrix: VectorMatrix): VectorCell[][] {
  const known = matrix.writers.map((_, column) =>
    matrix.cells.reduce((most, row) => Math.max(most, row[column] ?? -1), 0),
  );
  const lags = matrix.cells.map((row) => row.map((seen, column) => (seen < 0 ? 0 : (known[column] ?? 0) - seen)));
  const concurrent = new Set(matrix.concurrent.flatMap(([a, b]) => [pairKey(a, b), pairKey(b, a)]));
  return matrix.replicas.map((replica, row) =>
    matrix.writers.map((writer, column) => {
      const lag = lags[row]?.[column] ?? 0;
      return {
        replica,
        writer,
        seen: matrix.cells[row]?.[column] ?? -1,
        known: known[column] ?? 0,
        lag,
        isOwn: replica === writer,
        isConcurrent: concurrent.has(pairKey(replica, writer)),
        depth: depthOf(lag),
      };
    }),
  );
}

/** A lag of one is what being on the way looks like, and stays pale; from the last of these on it is as deep as can be. */
const DEPTH_STEPS = [1, 3, 8, 20, 50];
export const DEPTHS = DEPTH_STEPS.length;

function depthOf(lag: number): number {
  return DEPTH_STEPS.filter((step) => lag >= step).length;
}

/** Replicas cannot contain a space. */
function pairKey(a: ReplicaId, b: ReplicaId): string {
  return `${a} ${b}`;
}

/** What a replica lacks of a writer: counters `from` to `to`, and who has them. */
export interface Missing {
  readonly from: number;
  readonly to: number;
  readonly holders: readonly ReplicaId[];
}

/** Undefined where nothing is missing, or nothing known. */
export function missingOf(matrix: VectorMatrix, cell: VectorCell): Missing | undefined {
  if (cell.lag <= 0) return undefined;
  const column = matrix.writers.indexOf(cell.writer);
  const holders = matrix.replicas.filter((_, row) => (matrix.cells[row]?.[column] ?? -1) > cell.seen);
  return { from: cell.seen + 1, to: cell.seen + cell.lag, holders };
}

/** A cell in a sentence. */
export function describeCell(cell: VectorCell): string {
  const { replica, writer, seen, known, lag } = cell;
  if (seen < 0) return `how much ${replica} has seen of ${writer} is not known here`;
  const whose = cell.isOwn ? 'of its own mutations' : `of ${writer}’s mutations`;
  const concurrent = cell.isConcurrent ? `; ${replica} and ${writer} are concurrent` : '';
  if (lag === 0) return `${replica} has seen all ${known} ${whose}${concurrent}`;
  return `${replica} has seen ${seen} of ${known} ${whose} and lacks ${lag}${concurrent}`;
}
