import type { ReplicaStatus } from '@syncscope/protocol/capture';
import type { ReplicaId } from '@syncscope/protocol/state';
import { type KeyboardEvent, type PointerEvent, type ReactNode, type RefObject, useRef } from 'react';
import { getState, setPair, update, useView } from '../app/store.ts';
import { Icon } from '../ui/Icon.tsx';
import { describeReplica, standingOf } from './describe.ts';
import { dropIndex, type LaneArrangement, type LaneBox, lanesHeight, moveLane, toggled } from './lane-layout.ts';

/** A press on a row that moves further than this drags it. */
const DRAG_SLOP = 4;

interface GutterProps {
  readonly boxes: readonly LaneBox[];
  readonly ordered: readonly ReplicaId[];
  readonly scroller: RefObject<HTMLDivElement | null>;
}

/**
 * A row a lane: name, version at the playhead, state. What changes with the playhead is written by
 * {@link showStandings} into the rows, past React.
 */
export function Gutter({ boxes, ordered, scroller }: GutterProps): ReactNode {
  const left = useView((view) => view.left);
  const right = useView((view) => view.right);
  const drop = useRef<HTMLLIElement>(null);

  const arrange = (change: Partial<LaneArrangement>) =>
    update((draft) => {
      Object.assign(draft.view.lanes, change);
    });
  const move = (replica: ReplicaId, index: number) => {
    const next = moveLane(ordered, replica, index);
    if (next !== ordered) arrange({ order: next });
  };

  const onPointerDown = (event: PointerEvent<HTMLElement>, replica: ReplicaId) => {
    if (event.button !== 0 || (event.target as Element).closest('.tl-row-tools')) return;
    const content = event.currentTarget.parentElement;
    const line = drop.current;
    if (!content || !line) return;
    const row = event.currentTarget;
    const startY = event.clientY;
    const abort = new AbortController();
    let index: number | undefined;
    const over = (moved: globalThis.PointerEvent) => {
      if (index === undefined && Math.abs(moved.clientY - startY) <= DRAG_SLOP) return;
      const y = moved.clientY - content.getBoundingClientRect().top;
      index = dropIndex(boxes, y);
      const box = boxes[index];
      const isBelow = index > ordered.indexOf(replica);
      row.classList.add('tl-dragged');
      line.hidden = false;
      line.style.transform = `translateY(${box ? box.top + (isBelow ? box.height : 0) - 1 : 0}px)`;
    };
    const end = (ended: globalThis.PointerEvent) => {
      abort.abort();
      row.classList.remove('tl-dragged');
      line.hidden = true;
      if (index !== undefined && ended.type === 'pointerup') move(replica, index);
      // The click that ends a drag is not meant for the name.
      if (index !== undefined) row.addEventListener('click', swallow, { capture: true, once: true });
      setTimeout(() => row.removeEventListener('click', swallow, { capture: true }), 0);
    };
    window.addEventListener('pointermove', over, { signal: abort.signal });
    window.addEventListener('pointerup', end, { signal: abort.signal });
    window.addEventListener('pointercancel', end, { signal: abort.signal });
  };

  const onKeyDown = (event: KeyboardEvent, replica: ReplicaId) => {
    if (!event.altKey || (event.key !== 'ArrowUp' && event.key !== 'ArrowDown')) return;
    event.preventDefault();
    event.stopPropagation();
    move(replica, ordered.indexOf(replica) + (event.key === 'ArrowUp' ? -1 : 1));
  };

  const compare = (replica: ReplicaId, isLeft: boolean) => {
    const { view } = getState();
    if (isLeft) setPair(replica, view.right === replica ? view.left : view.right);
    else setPair(view.left === replica ? view.right : view.left, replica);
  };

  return (
    <div className="tl-gutter" ref={scroller}>
      <ul className="tl-gutter-content" aria-label="Replicas" style={{ height: lanesHeight(boxes) }}>
        {boxes.map((box) => (
          <li
            key={box.replica}
            className={`tl-row${box.isCollapsed ? ' tl-collapsed' : ''}${box.isPinned ? ' tl-pinned' : ''}`}
            data-replica={box.replica}
            style={{ top: box.top, height: box.height }}
            onPointerDown={(event) => onPointerDown(event, box.replica)}
            onKeyDown={(event) => onKeyDown(event, box.replica)}
          >
            <button
              type="button"
              className="tl-name"
              title={`${box.replica}\nClick: compare on the right · Shift+click: on the left · drag or Alt+↑↓: move`}
              onClick={(event) => compare(box.replica, event.shiftKey)}
            >
              <span className="tl-name-text">{box.replica}</span>
              {box.replica === left && (
                <span className="tl-side" title="left of the pair">
                  L
                </span>
              )}
              {box.replica === right && (
                <span className="tl-side" title="right of the pair">
                  R
                </span>
              )}
            </button>
            <span className="tl-version" />
            <span className="tl-standing">
              <span className="tl-sign" aria-hidden="true" />
              <span className="tl-word" />
            </span>
            <span className="tl-row-tools">
              <button
                type="button"
                aria-pressed={box.isPinned}
                aria-label={`Pin ${box.replica} to the top`}
                title={box.isPinned ? 'Unpin' : 'Pin to the top'}
                onClick={() => arrange({ pinned: toggled(getState().view.lanes.pinned, box.replica) })}
              >
                <Icon name="pin" />
              </button>
              <button
                type="button"
                aria-expanded={!box.isCollapsed}
                aria-label={`${box.isCollapsed ? 'Expand' : 'Collapse'} ${box.replica}`}
                title={box.isCollapsed ? 'Expand' : 'Collapse'}
                onClick={() => arrange({ collapsed: toggled(getState().view.lanes.collapsed, box.replica) })}
              >
                <Icon name="chevron" />
              </button>
            </span>
          </li>
        ))}
        <li className="tl-drop" ref={drop} hidden />
      </ul>
    </div>
  );
}

function swallow(event: Event): void {
  event.stopPropagation();
  event.preventDefault();
}

/** Writes version and state into the rows of a gutter. */
export function showStandings(gutter: HTMLElement, replicas: readonly ReplicaStatus[]): void {
  const byName = new Map<string, ReplicaStatus>(replicas.map((status) => [status.replica, status]));
  for (const row of gutter.querySelectorAll<HTMLElement>('.tl-row')) {
    const status = byName.get(row.dataset.replica ?? '');
    const standing = status && standingOf(status);
    row.dataset.standing = standing?.name ?? 'unknown';
    setText(row, '.tl-version', status ? `v${status.version}` : '');
    setText(row, '.tl-sign', standing?.sign ?? '');
    setText(row, '.tl-word', standing?.word ?? '');
    const element = row.querySelector('.tl-standing');
    if (element && status) element.setAttribute('title', describeReplica(status));
  }
}

function setText(row: HTMLElement, selector: string, text: string): void {
  const element = row.querySelector(selector);
  if (element && element.textContent !== text) element.textContent = text;
}
