import type { StatePage } from '@syncscope/protocol/capture';
import { type KeyboardEvent, useMemo, useState } from 'react';
import { useQuery } from '../app/query.ts';
import { goTo, update, useView } from '../app/store.ts';
import { formatCount, formatTime, plural } from '../text/format.ts';
import { visible } from '../text/visible.ts';
import { TextField } from '../ui/controls.tsx';
import { Icon } from '../ui/Icon.tsx';
import { nudge } from '../ui/scroll.ts';
import { Answer, Empty } from '../ui/states.tsx';
import { VirtualList } from '../ui/VirtualList.tsx';
import { Hash, ValueText } from '../ui/values.tsx';
import { type HistoryPlace, recordLine, type TreeRow, treeRows } from './state-tree.ts';
import { valueHistory } from './value-history.ts';

const LIMIT = 2_000;
const HISTORY_LIMIT = 20;

/** The left replica's records at the playhead. */
export function StateTab() {
  const left = useView((view) => view.left);
  const playhead = useView((view) => view.playhead);
  const search = useView((view) => view.stateSearch);
  // Where there are more than fit, a key's collection narrows them down at the source.
  const slash = search.indexOf('/');
  const prefix = slash > 0 ? search.slice(0, slash + 1) : '';
  const isReady = left !== undefined && playhead >= 0;
  const page = useQuery(
    ['state', left, playhead, prefix],
    (query) => {
      if (left === undefined) throw new TypeError('a state needs a replica');
      return query.state(left, playhead, prefix, LIMIT);
    },
    isReady,
  );
  if (!isReady) {
    return (
      <Empty title="No state yet">
        <p>Move the playhead past the first record.</p>
      </Empty>
    );
  }
  return (
    <div className="state">
      <div className="state-search">
        <TextField
          label="Search keys and values"
          placeholder="search keys and values"
          value={search}
          onInput={(value) =>
            update((draft) => {
              draft.view.stateSearch = value;
            })
          }
        />
      </div>
      <Answer query={page}>{(data) => <StateTree page={data} search={search} />}</Answer>
    </div>
  );
}

function StateTree({ page, search }: { readonly page: StatePage; readonly search: string }) {
  const [toggled, setToggled] = useState<ReadonlySet<string>>(new Set());
  const [place, setPlace] = useState<HistoryPlace>();
  const [top, setTop] = useState(0);
  const [height, setHeight] = useState(0);
  const [active, setActive] = useState(0);
  const playhead = useView((view) => view.playhead);

  const lastChange = page.entries.reduce((latest, entry) => Math.max(latest, entry.changedAt), -1);
  const changes = useQuery(
    ['state-changes', page.replica, lastChange],
    (query) =>
      query.diff(
        { replica: page.replica, position: lastChange },
        { replica: page.replica, position: lastChange - 1 },
        LIMIT,
      ),
    lastChange > 0,
  );
  const history = useQuery(
    ['history', page.replica, place?.key, place?.field, playhead],
    (query) => {
      if (!place) throw new TypeError('a history needs a value');
      return valueHistory(query, page.replica, place.key, place.field, playhead, HISTORY_LIMIT);
    },
    place !== undefined,
  );
  const changed = useMemo(
    () => new Map((changes.data?.differences ?? []).map((difference) => [difference.key as string, difference])),
    [changes.data],
  );
  const rows = useMemo(
    () =>
      treeRows(page.entries, {
        toggled,
        search,
        changed,
        ...(place ? { history: { place, entries: history.data } } : {}),
      }),
    [page, toggled, search, changed, place, history.data],
  );

  if (page.unknown !== undefined) {
    return (
      <Empty title={`The state of ${page.replica} is not known here`}>
        <p>{visible(page.unknown)}</p>
      </Empty>
    );
  }

  const toggle = (id: string) => {
    const next = new Set(toggled);
    if (!next.delete(id)) next.add(id);
    setToggled(next);
  };
  const press = (row: TreeRow) => {
    if (row.type === 'collection' || row.type === 'record') toggle(row.id);
    else if (row.type === 'field') setPlace(row.hasHistory ? undefined : { key: row.key, field: row.field });
    else if (row.type === 'history') goTo(row.entry.position);
  };
  const key = (event: KeyboardEvent) => {
    const step = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    if (event.key === 'Enter') {
      const row = rows[active];
      if (row) press(row);
    } else if (step !== undefined) {
      const next = Math.max(0, Math.min(active + step, rows.length - 1));
      setActive(next);
      setTop(nudge(next, top, { count: rows.length, height }));
    } else return;
    event.preventDefault();
  };

  return (
    <>
      <p className="state-line number-line">
        <span>v{page.version}</span> <Hash hash={page.root} />{' '}
        <span className="muted">
          {search === '' ? plural(page.total, 'record') : `${formatCount(foundIn(rows))} found`}
        </span>
        {page.pending.length > 0 && (
          <span className="ink-prediction">{plural(page.pending.length, 'pending prediction')}</span>
        )}
      </p>
      {page.entries.length < page.total && (
        <p className="muted">
          The first {formatCount(page.entries.length)} are shown. Search for <span className="mono">collection/</span>{' '}
          to see others.
        </p>
      )}
      {rows.length === 0 ? (
        <Empty title={search === '' ? 'This state has no records' : 'No key or value contains that'} />
      ) : (
        <VirtualList
          label={`State of ${page.replica}`}
          role="tree"
          count={rows.length}
          top={top}
          onTop={setTop}
          onHeight={setHeight}
          onKeyDown={key}
          activeDescendant={`state-row-${active}`}
          renderRow={(index) => (
            <TreeLine
              key={rows[index]!.id}
              index={index}
              row={rows[index]!}
              isActive={index === active}
              onPress={() => {
                setActive(index);
                press(rows[index]!);
              }}
            />
          )}
        />
      )}
    </>
  );
}

/** Records that the search found, folded or not. */
function foundIn(rows: readonly TreeRow[]): number {
  return rows.reduce((sum, row) => (row.type === 'collection' ? sum + row.count : sum), 0);
}

interface TreeLineProps {
  readonly index: number;
  readonly row: TreeRow;
  readonly isActive: boolean;
  readonly onPress: () => void;
}

/** Left of each level, CSS pixels; a field stands under its record's name. */
const INDENTS = [4, 4, 20, 52, 68] as const;

const LEVELS: Readonly<Record<TreeRow['type'], 1 | 2 | 3 | 4>> = {
  collection: 1,
  record: 2,
  field: 3,
  history: 4,
  note: 4,
};

function TreeLine({ index, row, isActive, onPress }: TreeLineProps) {
  const level = LEVELS[row.type];
  const isOpen =
    row.type === 'collection' || row.type === 'record' ? row.isOpen : row.type === 'field' ? row.hasHistory : undefined;
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: the tree has the focus, moves with the arrow keys and presses with Enter
    <div
      className={`tree-row tree-${row.type}${isActive ? ' tree-active' : ''}`}
      role="treeitem"
      tabIndex={-1}
      id={`state-row-${index}`}
      aria-level={level}
      aria-selected={isActive}
      aria-expanded={isOpen}
      style={{ paddingLeft: INDENTS[level] }}
      onClick={onPress}
    >
      <TreeContent row={row} />
    </div>
  );
}

function Twistie({ isOpen }: { readonly isOpen: boolean }) {
  return (
    <span className={isOpen ? 'twistie twistie-open' : 'twistie'}>
      <Icon name="chevron" />
    </span>
  );
}

function Changed({ isChanged }: { readonly isChanged: boolean }) {
  return isChanged ? <span className="changed-mark" title="changed by the last change of this replica" /> : null;
}

function TreeContent({ row }: { readonly row: TreeRow }) {
  switch (row.type) {
    case 'collection':
      return (
        <>
          <Twistie isOpen={row.isOpen} />
          <span className="mono">{visible(row.name)}/</span>
          <span className="muted">{formatCount(row.count)}</span>
          <Changed isChanged={row.isChanged} />
        </>
      );
    case 'record':
      return (
        <>
          <Twistie isOpen={row.isOpen} />
          <span className="mono nowrap tree-label">{visible(row.label)}</span>
          <Changed isChanged={row.isChanged} />
          {row.entry.optimistic !== undefined && (
            <span className="ink-prediction nowrap">
              {row.entry.optimistic === null ? 'predicted away' : 'predicted'}
            </span>
          )}
          {!row.isOpen && <span className="mono muted ellipsis">{recordLine(row.entry.record)}</span>}
        </>
      );
    case 'field':
      return (
        <>
          <span className="mono key-name nowrap">{visible(row.field)}</span>
          <Changed isChanged={row.isChanged} />
          <span className="ellipsis tree-value">
            <ValueText value={row.value} />
            {row.predicted && (
              <span className="ink-prediction">
                {' '}
                → <ValueText value={row.predicted.value} /> predicted
              </span>
            )}
          </span>
          <span className="tree-action" title="history of this value">
            <Icon name="history" />
          </span>
        </>
      );
    case 'history':
      return (
        <>
          <span className="number muted">v{row.entry.version}</span>
          <span className="number muted">{formatTime(row.entry.time)}</span>
          <span className="ellipsis">
            {row.entry.rule !== 'first state' && (
              <>
                <ValueText value={row.entry.before} /> →{' '}
              </>
            )}
            <ValueText value={row.entry.after} />
          </span>
          <span className="muted ellipsis" title={visible(row.entry.why)}>
            {row.entry.rule}
            {row.entry.writer && `, ${visible(row.entry.writer)}`}
          </span>
        </>
      );
    case 'note':
      return <span className="muted">{row.text}</span>;
  }
}
