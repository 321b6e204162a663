import type { KeyboardEvent, PointerEvent } from 'react';
import { useRef } from 'react';

export interface SplitterProps {
  readonly label: string;
  /** `row`: the line between two rows, moved up and down. `column`: between two columns. `auto`: as its container is laid out. */
  readonly direction: 'row' | 'auto';
  /** From 0 to 100 for a screen reader. */
  readonly value: number;
  /** Moved by this many pixels in this much room, since the drag or key began. */
  readonly onMove: (delta: number, room: number) => void;
  readonly onBegin: () => void;
}

const KEY_STEP = 24;

/** A line that can be dragged, or moved with the arrow keys. */
export function Splitter({ label, direction, value, onMove, onBegin }: SplitterProps) {
  const drag = useRef<{ readonly start: number; readonly isRow: boolean; readonly room: number } | undefined>(
    undefined,
  );

  function measure(element: HTMLElement) {
    const parent = element.parentElement;
    const isRow = direction === 'row' || (parent !== null && getComputedStyle(parent).flexDirection === 'column');
    return { isRow, room: (isRow ? parent?.clientHeight : parent?.clientWidth) ?? 0 };
  }

  function begin(event: PointerEvent<HTMLElement>): void {
    if (event.button !== 0) return;
    const { isRow, room } = measure(event.currentTarget);
    drag.current = { start: isRow ? event.clientY : event.clientX, isRow, room };
    event.currentTarget.setPointerCapture(event.pointerId);
    onBegin();
  }

  function move(event: PointerEvent): void {
    const { current } = drag;
    if (current) onMove((current.isRow ? event.clientY : event.clientX) - current.start, current.room);
  }

  function key(event: KeyboardEvent<HTMLElement>): void {
    const { isRow, room } = measure(event.currentTarget);
    const sign =
      event.key === (isRow ? 'ArrowUp' : 'ArrowLeft') ? -1 : event.key === (isRow ? 'ArrowDown' : 'ArrowRight') ? 1 : 0;
    if (sign === 0) return;
    event.preventDefault();
    event.stopPropagation();
    onBegin();
    onMove(sign * KEY_STEP, room);
  }

  return (
    // biome-ignore lint/a11y/useSemanticElements: an <hr> cannot be dragged
    <div
      className={`splitter splitter-${direction}`}
      role="separator"
      aria-label={label}
      aria-valuenow={Math.round(value)}
      tabIndex={0}
      onPointerDown={begin}
      onPointerMove={move}
      onLostPointerCapture={() => {
        drag.current = undefined;
      }}
      onKeyDown={key}
    />
  );
}
