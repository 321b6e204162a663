import { type KeyboardEvent, type ReactNode, useEffect, useId, useRef, useState } from 'react';
import { useRemote } from '../app/query.ts';
import { follow, getState, useApp, useView } from '../app/store.ts';
import { visible } from '../text/visible.ts';
import { createTimeline, type TimelineController, type TimelineModel } from './controller.ts';
import { frames } from './frame.ts';
import { Gutter, showStandings } from './Gutter.tsx';
import { fitIcon, followIcon, legendIcon } from './icons.tsx';
import { Legend } from './Legend.tsx';
import './timeline.css';

const ZOOM_STEP = 0.6;
const PAN_STEP = 0.25;

/** Overview, lanes and their gutter. A new capture gets a new one. */
export function Timeline(): ReactNode {
  const epoch = useApp((state) => state.epoch);
  const isReady = useApp((state) => state.isReady);
  const isEmpty = useApp((state) => state.records === 0);
  const isLive = useApp((state) => state.session.source === 'live');
  if (!isReady || isEmpty) {
    return (
      <div className="timeline tl-empty">
        {isReady &&
          (isLive
            ? 'Nothing was recorded yet. Lanes appear with the first message.'
            : 'This capture holds no records.')}
      </div>
    );
  }
  return <TimelineBody key={epoch} />;
}

function TimelineBody(): ReactNode {
  const remote = useRemote();
  const isLive = useApp((state) => state.session.source === 'live' && state.session.state === 'open');
  const following = useView((view) => view.following);
  const isWhole = useView((view) => view.zoom === undefined);
  const [model, setModel] = useState<TimelineModel>({ boxes: [], ordered: [], error: undefined });
  const [isLegendOpen, setLegendOpen] = useState(false);
  const [announcement, announce] = useState('');
  const descriptionId = useId();

  const root = useRef<HTMLDivElement>(null);
  const overview = useRef<HTMLCanvasElement>(null);
  const brush = useRef<SVGSVGElement>(null);
  const overviewPlayhead = useRef<HTMLDivElement>(null);
  const lanes = useRef<HTMLCanvasElement>(null);
  const playhead = useRef<HTMLDivElement>(null);
  const tooltip = useRef<HTMLDivElement>(null);
  const gutter = useRef<HTMLDivElement>(null);
  const description = useRef<HTMLParagraphElement>(null);
  const controller = useRef<TimelineController>(null);

  useEffect(() => {
    const elements = {
      root: present(root.current),
      overview: present(overview.current),
      brush: present(brush.current),
      overviewPlayhead: present(overviewPlayhead.current),
      lanes: present(lanes.current),
      playhead: present(playhead.current),
      tooltip: present(tooltip.current),
      gutter: present(gutter.current),
      description: present(description.current),
    };
    const timeline = createTimeline(elements, remote, frames, setModel, (data) => {
      if (data.status) showStandings(elements.gutter, data.status.replicas);
    });
    controller.current = timeline;
    return () => {
      controller.current = null;
      timeline.dispose();
    };
  }, [remote]);

  // Rows that React has just made are empty until the next answer.
  useEffect(() => {
    const status = controller.current?.data.status;
    if (status && gutter.current && model.boxes.length > 0) showStandings(gutter.current, status.replicas);
  }, [model]);

  const onKeyDown = (event: KeyboardEvent) => {
    const timeline = controller.current;
    if (!timeline || event.ctrlKey || event.metaKey || event.altKey) return;
    switch (event.key) {
      case '+':
      case '=':
        timeline.zoomBy(ZOOM_STEP);
        break;
      case '-':
      case '_':
        timeline.zoomBy(1 / ZOOM_STEP);
        break;
      case '0':
        timeline.showAll();
        break;
      case 'PageUp':
        timeline.panBy(-PAN_STEP);
        break;
      case 'PageDown':
        timeline.panBy(PAN_STEP);
        break;
      case 'ArrowUp':
      case 'ArrowDown': {
        const replica = timeline.focusLane(event.key === 'ArrowUp' ? -1 : 1);
        announce(replica ? `${replica}, ${rowText(gutter.current, replica)}` : '');
        break;
      }
      case 'Enter':
        timeline.pickOnLane();
        break;
      default:
        return;
    }
    event.preventDefault();
    event.stopPropagation();
  };

  return (
    <div className="timeline" ref={root}>
      <div className="tl-grid">
        <div className="tl-head">
          <button
            type="button"
            aria-pressed={isLegendOpen}
            title="What the shapes mean"
            onClick={() => setLegendOpen(!isLegendOpen)}
          >
            {legendIcon}
          </button>
          <button
            type="button"
            title="Show the whole capture (0)"
            disabled={isWhole}
            onClick={() => controller.current?.showAll()}
          >
            {fitIcon}
          </button>
          {isLive && (
            <button
              type="button"
              aria-pressed={following}
              title={following ? 'Following the newest record' : 'Follow the newest record'}
              onClick={() => follow(!getState().view.following)}
            >
              {followIcon}
            </button>
          )}
        </div>
        <div className="tl-overview">
          <canvas ref={overview} role="img" aria-label="Records over the whole capture by kind, with its problems" />
          <div className="tl-playhead tl-overview-playhead" ref={overviewPlayhead} hidden />
          <svg ref={brush} aria-hidden="true" />
        </div>
        <div className="tl-corner" />
        <Gutter boxes={model.boxes} ordered={model.ordered} scroller={gutter} />
        <div className="tl-plot">
          <div
            className="tl-lanes"
            role="application"
            aria-roledescription="timeline"
            aria-label="Messages and states of each replica over time"
            aria-describedby={descriptionId}
            // biome-ignore lint/a11y/noNoninteractiveTabindex: operated by keyboard, as its role says
            tabIndex={0}
            onKeyDown={onKeyDown}
          >
            <canvas ref={lanes} />
          </div>
          <div className="tl-playhead" ref={playhead} hidden>
            <div className="tl-playhead-grip" />
          </div>
          <div className="tl-tooltip" ref={tooltip} role="tooltip" hidden />
          {isLegendOpen && <Legend />}
          {model.error !== undefined && (
            <div className="tl-error" role="alert">
              {visible(model.error instanceof Error ? model.error.message : String(model.error))}
            </div>
          )}
        </div>
      </div>
      <p className="tl-spoken" id={descriptionId} ref={description} />
      <p className="tl-spoken" aria-live="polite">
        {announcement}
      </p>
    </div>
  );
}

function present<T>(element: T | null): T {
  if (element === null) throw new TypeError('the timeline was mounted without its elements');
  return element;
}

/** What the gutter says of a replica, as one line. */
function rowText(gutter: HTMLElement | null, replica: string): string {
  const row = [...(gutter?.querySelectorAll<HTMLElement>('.tl-row') ?? [])].find(
    (element) => element.dataset.replica === replica,
  );
  return row?.querySelector('.tl-standing')?.getAttribute('title') ?? '';
}
