// biome-ignore-all lint/a11y/useSemanticElements: rows of a virtual table are placed, which <tr> and <td> cannot be
// biome-ignore-all lint/a11y/useFocusableInteractive: the list has the focus and names the active row
import type { Row } from '@syncscope/protocol/capture';
import type { TraceKind } from '@syncscope/protocol/trace';
import { memo } from 'react';
import { goTo } from '../app/store.ts';
import { formatBytes, formatTime } from '../text/format.ts';
import { visible } from '../text/visible.ts';
import { lookOfRow } from '../timeline/kinds.ts';
import { Glyph } from '../ui/Glyph.tsx';

export interface StreamRowProps {
  readonly index: number;
  /** Absent while its page is on the way. */
  readonly row: Row | undefined;
  readonly isSelected: boolean;
  readonly isPlayhead: boolean;
  readonly relation: 'cause' | 'effect' | undefined;
}

/** Where a message goes, beside its glyph. */
const DIRECTIONS: Readonly<Partial<Record<TraceKind, string>>> = { send: ' ↗', receive: ' ↘' };

/** Bookkeeping that follows each change. */
const ROUTINE: ReadonlySet<TraceKind> = new Set(['hash', 'vector', 'names', 'rebase']);
/** As their summaries begin. */
const ROUTINE_MESSAGE = /^(?:ack|heartbeat|inputs recorded) /;

const RELATION_WORDS = { cause: 'cause of the selection', effect: 'effect of the selection' } as const;

export const StreamRow = memo(function StreamRow({ index, row, isSelected, isPlayhead, relation }: StreamRowProps) {
  if (!row)
    return <div className="stream-row stream-row-pending" role="row" aria-rowindex={index + 2} aria-busy="true" />;
  const look = lookOfRow(row);
  const classes = ['stream-row', `severity-${row.severity}`];
  if (isSelected) classes.push('row-selected');
  if (isPlayhead) classes.push('row-playhead');
  if (relation) classes.push(`row-${relation}`);
  if (ROUTINE.has(row.kind) || ROUTINE_MESSAGE.test(row.summary)) classes.push('row-routine');
  else if (look.group === 'message') classes.push('row-quiet');
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: the list has the focus and moves the selection with the arrow keys
    <div
      className={classes.join(' ')}
      role="row"
      id={`row-${row.position}`}
      aria-rowindex={index + 2}
      aria-selected={isSelected}
      title={relation && RELATION_WORDS[relation]}
      // While live the rows move on under the pointer: the press counts, and stops them.
      onPointerDown={(event) => event.button === 0 && goTo(row.position)}
      onClick={() => goTo(row.position)}
    >
      <span role="gridcell" className="cell-seq">
        {row.seq}
      </span>
      <span role="gridcell" className="cell-time">
        {formatTime(row.time)}
      </span>
      <span role="gridcell" className="cell-who" title={row.replica}>
        {visible(row.replica)}
      </span>
      <span role="gridcell" className="cell-kind" title={look.label}>
        <Glyph look={look} /> {row.kind}
        {DIRECTIONS[row.kind]}
      </span>
      <span role="gridcell" className="cell-what" title={visible(row.summary)}>
        {visible(row.summary)}
      </span>
      <span role="gridcell" className="cell-bytes">
        {row.bytes > 0 ? formatBytes(row.bytes) : ''}
      </span>
    </div>
  );
});
