import { type KeyboardEvent, type ReactNode, useEffect, useLayoutEffect, useRef, useState } from 'react';
import { clampTop, ROW_HEIGHT, rowsToDraw, thumbOf, topOfThumb, type Viewport, wheelRows } from './scroll.ts';

export interface VirtualListProps {
  readonly label: string;
  readonly count: number;
  /** The first row seen, with a fraction. The list clamps it. */
  readonly top: number;
  readonly onTop: (top: number) => void;
  readonly renderRow: (index: number) => ReactNode;
  /** Told how high the list is, CSS pixels, whenever that changes. */
  readonly onHeight?: (height: number) => void;
  readonly role?: 'rowgroup' | 'tree' | 'list';
  readonly activeDescendant?: string | undefined;
  readonly onKeyDown?: (event: KeyboardEvent) => void;
  /** False where what it is in has the focus, and names the active row. Default true. */
  readonly isFocusable?: boolean;
}

/** Rows of {@link ROW_HEIGHT} with an own scrollbar; only those in view exist. */
export function VirtualList(props: VirtualListProps) {
  const {
    label,
    count,
    top,
    onTop,
    renderRow,
    onHeight,
    role = 'list',
    activeDescendant,
    onKeyDown,
    isFocusable = true,
  } = props;
  const body = useRef<HTMLDivElement>(null);
  const [height, setHeight] = useState(0);
  const viewport = { count, height };
  const shown = clampTop(top, viewport);

  useLayoutEffect(() => {
    const element = body.current;
    if (!element) return;
    setHeight(element.clientHeight);
    const observer = new ResizeObserver(() => setHeight(element.clientHeight));
    observer.observe(element);
    return () => observer.disconnect();
  }, []);

  useLayoutEffect(() => onHeight?.(height), [height]);

  // React's wheel listeners are passive, and the page must not scroll along.
  const scroll = useRef((_event: WheelEvent) => {});
  scroll.current = (event) => {
    if (event.ctrlKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) return;
    const next = clampTop(shown + wheelRows(event, viewport), viewport);
    event.preventDefault();
    if (next !== top) onTop(next);
  };
  useEffect(() => {
    const element = body.current;
    const handle = (event: WheelEvent) => scroll.current(event);
    element?.addEventListener('wheel', handle, { passive: false });
    return () => element?.removeEventListener('wheel', handle);
  }, []);

  const { from, to } = rowsToDraw(shown, viewport);
  const rows: ReactNode[] = [];
  for (let index = from; index < to; index++) rows.push(renderRow(index));
  return (
    <div className="virtual">
      {/* biome-ignore lint/a11y/noStaticElementInteractions lint/a11y/useAriaPropsSupportedByRole: the role comes in */}
      <div
        ref={body}
        className="virtual-body"
        role={role}
        aria-label={label}
        tabIndex={isFocusable ? 0 : undefined}
        aria-activedescendant={activeDescendant}
        onKeyDown={onKeyDown}
      >
        <div className="virtual-rows" style={{ transform: `translateY(${-(shown - from) * ROW_HEIGHT}px)` }}>
          {rows}
        </div>
      </div>
      <Scrollbar top={shown} viewport={viewport} onTop={onTop} />
    </div>
  );
}

interface ScrollbarProps {
  readonly top: number;
  readonly viewport: Viewport;
  readonly onTop: (top: number) => void;
}

/** For the pointer only: by keyboard the list itself is scrolled, so it stays out of the accessibility tree. */
function Scrollbar({ top, viewport, onTop }: ScrollbarProps) {
  const grip = useRef<number | undefined>(undefined);
  const thumb = thumbOf(top, viewport);
  if (!thumb) return null;
  return (
    <div
      className="scrollbar"
      aria-hidden="true"
      onPointerDown={(event) => {
        if (event.button !== 0) return;
        const y = event.clientY - event.currentTarget.getBoundingClientRect().top;
        const isOnThumb = y >= thumb.offset && y <= thumb.offset + thumb.length;
        // A press beside the thumb brings it under the pointer.
        grip.current = isOnThumb ? y - thumb.offset : thumb.length / 2;
        event.currentTarget.setPointerCapture(event.pointerId);
        if (!isOnThumb) onTop(topOfThumb(y - thumb.length / 2, viewport));
        event.preventDefault();
      }}
      onPointerMove={(event) => {
        if (grip.current === undefined) return;
        const y = event.clientY - event.currentTarget.getBoundingClientRect().top;
        onTop(topOfThumb(y - grip.current, viewport));
      }}
      onLostPointerCapture={() => {
        grip.current = undefined;
      }}
    >
      <div className="thumb" style={{ height: thumb.length, transform: `translateY(${thumb.offset}px)` }} />
    </div>
  );
}
