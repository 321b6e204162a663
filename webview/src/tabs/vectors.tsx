import type { VectorMatrix } from '@syncscope/protocol/capture';
import { type KeyboardEvent, type ReactNode, useRef, useState } from 'react';
import { useQuery } from '../app/query.ts';
import { goTo, useView } from '../app/store.ts';
import { formatTime, plural } from '../text/format.ts';
import { visible } from '../text/visible.ts';
import { lookOfRow } from '../timeline/kinds.ts';
import { orderLanes } from '../timeline/lane-layout.ts';
import { Glyph } from '../ui/Glyph.tsx';
import { Answer, Empty } from '../ui/states.tsx';
import { findMissing } from './vectors-missing.ts';
import { arrangeMatrix, describeCell, missingOf, type VectorCell, vectorCells } from './vectors-model.ts';
import './vectors.css';

/** Which replica has seen how much of which other at the playhead. */
export function VectorsTab(): ReactNode {
  const playhead = useView((view) => view.playhead);
  const arrangement = useView((view) => view.lanes);
  const matrix = useQuery(
    ['vectors', playhead],
    async (query) => {
      const [vectors, { replicas }] = await Promise.all([query.vectors(playhead), query.info()]);
      return { vectors, replicas };
    },
    playhead >= 0,
  );
  if (playhead < 0) {
    return (
      <Empty title="No version vectors before the first record">
        <p>Move the playhead into the capture.</p>
      </Empty>
    );
  }
  return (
    <Answer query={matrix}>
      {({ vectors, replicas }) => (
        // In the order of the lanes above.
        <Matrix matrix={arrangeMatrix(vectors, orderLanes(replicas, arrangement))} position={playhead} />
      )}
    </Answer>
  );
}

interface MatrixProps {
  readonly matrix: VectorMatrix;
  readonly position: number;
}

function Matrix({ matrix, position }: MatrixProps): ReactNode {
  const [chosen, choose] = useState<{ readonly replica: string; readonly writer: string } | undefined>();
  const table = useRef<HTMLTableElement>(null);
  if (matrix.writers.length === 0) {
    return (
      <Empty title="No version vector is recorded up to here">
        <p>Each replica tells with its next change what it has seen of whom. Move the playhead on.</p>
      </Empty>
    );
  }
  const cells = vectorCells(matrix);
  const cell = cells.flat().find((one) => one.replica === chosen?.replica && one.writer === chosen.writer);
  const focusable = cell ?? cells[0]?.[0];

  const onKeyDown = (event: KeyboardEvent) => {
    const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
    if (!step || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey || !focusable) return;
    const row = matrix.replicas.indexOf(focusable.replica) + step[0]!;
    const column = matrix.writers.indexOf(focusable.writer) + step[1]!;
    event.preventDefault();
    event.stopPropagation();
    const next = cells[row]?.[column];
    if (!next) return;
    choose(next);
    table.current?.querySelectorAll<HTMLElement>('tbody button')[row * matrix.writers.length + column]?.focus();
  };

  return (
    <div className="vectors">
      <div className="vec-scroll">
        <table ref={table} onKeyDown={onKeyDown} aria-label="Mutations seen, by replica and writer">
          <thead>
            <tr>
              <td className="vec-corner">has seen of</td>
              {matrix.writers.map((writer) => (
                <th key={writer} scope="col" title={writer}>
                  {visible(writer)}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {cells.map((row, index) => (
              <tr key={matrix.replicas[index]}>
                <th scope="row" title={matrix.replicas[index]}>
                  {visible(matrix.replicas[index] ?? '')}
                </th>
                {row.map((one) => (
                  <td key={one.writer}>
                    <CellButton
                      cell={one}
                      isChosen={one === cell}
                      isFocusable={one === focusable}
                      onChoose={() => choose(one === cell ? undefined : one)}
                    />
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <Legend matrix={matrix} />
      {cell && <CellDetail matrix={matrix} cell={cell} position={position} />}
    </div>
  );
}

interface CellButtonProps {
  readonly cell: VectorCell;
  readonly isChosen: boolean;
  readonly isFocusable: boolean;
  readonly onChoose: () => void;
}

function CellButton({ cell, isChosen, isFocusable, onChoose }: CellButtonProps): ReactNode {
  const classes = ['vec-cell', `vec-depth-${cell.depth}`];
  if (cell.isOwn) classes.push('vec-own');
  if (cell.isConcurrent) classes.push('vec-concurrent');
  if (cell.seen < 0) classes.push('vec-unknown');
  const text = describeCell(cell);
  return (
    <button
      type="button"
      className={classes.join(' ')}
      aria-pressed={isChosen}
      aria-label={`${cell.seen < 0 ? '?' : cell.seen}${cell.lag > 0 ? ` −${cell.lag}` : ''}: ${text}`}
      title={text}
      tabIndex={isFocusable ? 0 : -1}
      onClick={onChoose}
    >
      <span>{cell.seen < 0 ? '?' : cell.seen}</span>
      {cell.lag > 0 && <span className="vec-lag">−{cell.lag}</span>}
    </button>
  );
}

function Legend({ matrix }: { readonly matrix: VectorMatrix }): ReactNode {
  return (
    <p className="vec-legend muted">
      <span>
        <span className="vec-swatch vec-depth-1" />
        <span className="vec-swatch vec-depth-3" />
        <span className="vec-swatch vec-depth-5" /> −n: lacks n that another replica has
      </span>
      <span>
        <span className="vec-swatch vec-own" /> its own
      </span>
      <span>
        <span className="vec-swatch vec-concurrent" /> concurrent
        {matrix.concurrent.length > 0 && `: ${matrix.concurrent.map(([a, b]) => `${a} ∥ ${b}`).join(', ')}`}
      </span>
    </p>
  );
}

interface CellDetailProps extends MatrixProps {
  readonly cell: VectorCell;
}

/** What the chosen cell's replica lacks, with the records that made it. */
function CellDetail({ matrix, cell, position }: CellDetailProps): ReactNode {
  const missing = missingOf(matrix, cell);
  const mutations = useQuery(
    ['missing', cell.writer, missing?.from, missing?.to, position],
    (query, signal) => findMissing(query, cell.writer, missing?.from ?? 0, missing?.to ?? 0, position, signal),
    missing !== undefined,
  );
  return (
    <section className="vec-detail" aria-live="polite">
      <p>
        {describeCell(cell)}
        {missing && (
          <span className="muted">
            : #{missing.from}
            {missing.to > missing.from && `–#${missing.to}`}, which {missing.holders.map(visible).join(', ')}{' '}
            {missing.holders.length === 1 ? 'has' : 'have'}
          </span>
        )}
        .
      </p>
      {missing && (
        <Answer query={mutations}>
          {({ found, more }) => (
            <ul>
              {found.map(({ counter, row }) => (
                <li key={counter}>
                  <button type="button" className="vec-mutation" onClick={() => goTo(row.position)}>
                    <span className="number">#{counter}</span>
                    <span className="number muted">{formatTime(row.time)}</span>
                    <Glyph look={lookOfRow(row)} />
                    <span className="ellipsis">{visible(row.summary)}</span>
                  </button>
                </li>
              ))}
              {more > 0 && <li className="muted">and {plural(more, 'earlier one')}</li>}
              {found.length === 0 && <li className="muted">No record of them was found in the capture up to here.</li>}
            </ul>
          )}
        </Answer>
      )}
    </section>
  );
}
