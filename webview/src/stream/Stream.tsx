// biome-ignore-all lint/a11y/useSemanticElements: rows of a virtual table are placed, which <tr> and <th> cannot be
// biome-ignore-all lint/a11y/useFocusableInteractive: the list has the focus and names the active row
import type { CaptureQuery, Row } from '@syncscope/protocol/capture';
import { type CSSProperties, type KeyboardEvent, useEffect, useRef, useState } from 'react';
import { namesInputs } from '../app/filter-text.ts';
import { useQuery } from '../app/query.ts';
import { follow, goTo, setFilter, streamFilter, update, useApp, useView } from '../app/store.ts';
import { formatCount, formatTime } from '../text/format.ts';
import { Button } from '../ui/controls.tsx';
import { clampTop, nudge, reveal, rowsInView, rowsToDraw, type Viewport } from '../ui/scroll.ts';
import { Empty, FaultView, Waiting } from '../ui/states.tsx';
import { VirtualList } from '../ui/VirtualList.tsx';
import { Searching } from './Searching.tsx';
import { StreamRow, type StreamRowProps } from './StreamRow.tsx';
import { pageFor, shownCount } from './window.ts';

/** The stream: one row a record. It owns its scrolling; where the user is in time is shared. */
export function Stream() {
  const typed = useView((view) => view.filter);
  const filter = useApp(streamFilter);
  const selection = useView((view) => view.selection);
  const playhead = useView((view) => view.playhead);
  const following = useView((view) => view.following);
  const records = useApp((state) => state.records);
  const last = useApp((state) => state.range.to);
  const epoch = useApp((state) => state.epoch);
  const isLive = useApp((state) => state.session.source === 'live' && state.session.state === 'open');
  const [top, setTop] = useState(0);
  const [height, setHeight] = useState(0);
  // Without a filter every record is a row; with one, the last count stands until the next answer.
  const [passing, setPassing] = useState(0);
  // A long live session lets go of its oldest records.
  const [dropped, setDropped] = useState(0);
  // What the last filter counted says nothing of this one, whose first rows are shown until that of the playhead is found.
  const [counted, setCounted] = useState(filter);
  if (counted !== filter) {
    setCounted(filter);
    setPassing(0);
    setTop(0);
  }
  const total = filter === '' ? Math.max(0, records - dropped) : passing;
  const whole: Viewport = { count: total, height };
  const wantedTop = following ? Number.MAX_SAFE_INTEGER : top;
  const wanted = pageFor(rowsToDraw(clampTop(wantedTop, whole), whole), records);
  // Of what is found the first is shown at once, and each answer asks for the next part until all is looked through.
  const [found, setFound] = useState('');
  const page = useQuery(
    ['rows', filter, wanted.offset, wanted.limit],
    async (query, signal) => {
      const [rows, dropped] = await Promise.all([
        query.rowsSoFar(filter, wanted.offset, wanted.limit, signal),
        filter === '' ? droppedBefore(query) : undefined,
      ]);
      return { ...rows, dropped, filter };
    },
    true,
    `${records} ${found}`,
  );
  const searching = page.data && page.data.filter === filter && page.data.looked < page.data.of ? page.data : undefined;
  const foundSoFar = searching ? `${searching.looked} ${filter}` : '';
  if (foundSoFar !== found) setFound(foundSoFar);
  if (page.data && page.data.filter === filter && page.data.total !== passing) setPassing(page.data.total);
  if (page.data?.dropped !== undefined && page.data.dropped !== dropped) setDropped(page.data.dropped);
  const viewport: Viewport = { count: shownCount(total, following, page.data, filter), height };
  const shownTop = clampTop(wantedTop, viewport);

  const related = useQuery(
    ['related', selection],
    (query) => query.related(selection ?? 0),
    selection !== undefined && selection >= 0,
  );

  // Where the user went by other means than this table: bring the row into view, and move nothing that is seen.
  const lastShown = useRef({ playhead: -1, filter, epoch });
  const target = useQuery(
    ['row-index', filter, playhead],
    async (query, signal) => ({ playhead, filter, index: await query.rowIndex(filter, playhead, signal) }),
    playhead >= 0 && !following,
  );
  // An answer about where the playhead was before is none about where it is.
  const isAnswered = target.data?.playhead === playhead && target.data.filter === filter;
  const targetIndex = isAnswered ? target.data?.index : undefined;
  useEffect(() => {
    if (targetIndex === undefined || height === 0) return;
    const last = lastShown.current;
    if (last.playhead === playhead && last.filter === filter && last.epoch === epoch) return;
    lastShown.current = { playhead, filter, epoch };
    setTop((now) => reveal(Math.min(targetIndex, total - 1), now, viewport));
  }, [targetIndex, playhead, filter, epoch, height > 0, total > 0]);

  function scrollTo(next: number): void {
    if (following) {
      // Scrolling up leaves the newest records; the playhead stays where it then is.
      if (next >= shownTop) return;
      update((draft) => {
        draft.view.following = false;
      });
    }
    // Whoever scrolls while a row is being looked for does not want to be taken there any more.
    lastShown.current = { playhead, filter, epoch };
    setTop(next);
  }

  const rows = page.data;
  // What is only asked again because the capture has grown keeps nobody waiting.
  const isShown = rows?.filter === filter && (following || rows.offset === wanted.offset);
  const rowAt = (index: number): Row | undefined => rows?.rows[index - rows.offset];

  function key(event: KeyboardEvent): void {
    const move = {
      ArrowUp: -1,
      ArrowDown: 1,
      PageUp: -Math.floor(rowsInView(viewport)),
      PageDown: Math.floor(rowsInView(viewport)),
    }[event.key];
    if (move === undefined || event.altKey || event.ctrlKey || event.metaKey || targetIndexOrLast() < 0) return;
    event.preventDefault();
    const index = Math.max(0, Math.min(targetIndexOrLast() + move, total - 1));
    const row = rowAt(index);
    setTop(nudge(index, shownTop, viewport));
    if (!row) return;
    lastShown.current = { playhead: row.position, filter, epoch };
    goTo(row.position);
  }

  /** The row that a key moves from: that of the playhead. */
  function targetIndexOrLast(): number {
    if (following) return viewport.count - 1;
    const seen = rows?.rows.findIndex((row) => row.position === playhead) ?? -1;
    return seen >= 0 && rows ? rows.offset + seen : (targetIndex ?? total - 1);
  }

  // Records keep the numbers that the session gave them, which is older than a capture that began in its midst.
  const newest = Math.max(records, ...(rows?.rows.slice(-1).map((row) => row.seq - row.position + records) ?? []));
  const tints = relationTints(selection, related.data);
  const activeRow = rows?.rows.find((row) => row.position === selection);
  return (
    <div
      className="stream"
      role="grid"
      aria-label="Records"
      aria-rowcount={total + 1}
      aria-colcount={6}
      aria-activedescendant={activeRow ? `row-${activeRow.position}` : undefined}
      tabIndex={0}
      onKeyDown={key}
      style={
        {
          '--digits': `${Math.max(4, String(newest).length)}ch`,
          '--time': `${formatTime(last).length}ch`,
        } as CSSProperties
      }
    >
      <StreamHead filter={typed} />
      {searching && !page.error ? (
        <Searching looked={searching.looked} of={searching.of} onStop={page.cancel} />
      ) : (
        !isShown && <Waiting query={page} />
      )}
      {page.error && page.error.code !== 'FILTER_SYNTAX' && <FaultView error={page.error} onRetry={page.retry} />}
      {total === 0 && page.data?.total === 0 && page.data.filter === filter && !searching ? (
        <NoRows filter={typed} isLive={isLive} />
      ) : (
        <VirtualList
          label="Records"
          role="rowgroup"
          count={viewport.count}
          top={shownTop}
          onTop={scrollTo}
          onHeight={setHeight}
          isFocusable={false}
          renderRow={(index) => (
            <StreamRow
              key={index}
              index={index}
              row={rowAt(index)}
              isSelected={rowAt(index)?.position === selection && selection !== undefined}
              isPlayhead={rowAt(index)?.position === playhead}
              relation={tints.get(rowAt(index)?.position ?? -2)}
            />
          )}
        />
      )}
      {isLive && !following && total > 0 && (
        <div className="follow">
          <Button
            icon="down"
            kind="primary"
            label={`Follow ${formatCount(Math.max(0, records - 1 - playhead))} newer`}
            title="Keep to the newest record"
            onPress={() => follow()}
          />
        </div>
      )}
    </div>
  );
}

/** Records that are no longer there: positions stay what they were, rows are counted from the oldest that is. */
async function droppedBefore(query: CaptureQuery): Promise<number> {
  const [oldest] = (await query.rows('', 0, 1)).rows;
  return oldest?.position ?? 0;
}

function relationTints(
  selection: number | undefined,
  related: { readonly causes: readonly number[]; readonly effects: readonly number[] } | undefined,
): ReadonlyMap<number, NonNullable<StreamRowProps['relation']>> {
  const tints = new Map<number, 'cause' | 'effect'>();
  if (selection === undefined || !related) return tints;
  for (const position of related.effects) tints.set(position, 'effect');
  for (const position of related.causes) tints.set(position, 'cause');
  return tints;
}

function StreamHead({ filter }: { readonly filter: string }) {
  return (
    <div className="stream-row stream-head" role="row" aria-rowindex={1}>
      <span role="columnheader" className="cell-seq">
        #
      </span>
      <span role="columnheader" className="cell-time">
        time
      </span>
      <span role="columnheader" className="cell-who">
        who
      </span>
      <span role="columnheader" className="cell-kind">
        kind
      </span>
      <span role="columnheader" className="cell-what">
        what
        {!namesInputs(filter) && <InputsToggle />}
      </span>
      <span role="columnheader" className="cell-bytes">
        bytes
      </span>
    </div>
  );
}

/** Inputs stand aside: they are what running the session again needs, and tell a reader nothing. */
function InputsToggle() {
  const hasInputs = useApp((state) => state.hasInputs);
  const isOn = useView((view) => view.showsInputs);
  if (!hasInputs) return null;
  return (
    <button
      type="button"
      className="inputs-toggle"
      title={`What each replica was given, kept for running the session again: ${isOn ? 'hide' : 'show'} these records`}
      onClick={() =>
        update((draft) => {
          draft.view.showsInputs = !draft.view.showsInputs;
        })
      }
    >
      {isOn ? 'hide inputs' : 'show inputs'}
    </button>
  );
}

function NoRows({ filter, isLive }: { readonly filter: string; readonly isLive: boolean }) {
  if (filter !== '') {
    return (
      <Empty title="No record passes the filter">
        <Button label="Clear the filter" onPress={() => setFilter('')} />
      </Empty>
    );
  }
  return (
    <Empty title={isLive ? 'Nothing has happened yet' : 'This capture has no records'}>
      <p>
        {isLive
          ? 'Records appear here as soon as the session does something.'
          : 'It was closed before anything was recorded.'}
      </p>
    </Empty>
  );
}
