import type { MerkleDiff, StateAt } from '@syncscope/protocol/capture';
import { type KeyboardEvent, type ReactNode, useContext, useEffect, useMemo, useRef, useState } from 'react';
import { useQuery } from '../app/query.ts';
import { goTo, useView } from '../app/store.ts';
import { formatBytes, formatCount, plural } from '../text/format.ts';
import { visible } from '../text/visible.ts';
import { Answer, Empty } from '../ui/states.tsx';
import { CopyContext, Hash } from '../ui/values.tsx';
import {
  CHARACTER,
  describePart,
  foldTrie,
  INDENT,
  LINE_HEIGHT,
  layoutTrie,
  type MerkleLayout,
  type MerklePart,
  type PlacedPart,
} from './merkle-model.ts';
import { type Pair, pairAtSameVersion } from './same-version.ts';
import { Versions } from './Versions.tsx';
import './merkle.css';

/** Differing records that are asked for; the rest is counted. */
const LIMIT = 60;

/** Both replicas' Merkle tries as one, open where they differ. */
export function MerkleTab(): ReactNode {
  const left = useView((view) => view.left);
  const right = useView((view) => view.right);
  const playhead = useView((view) => view.playhead);
  const sameVersion = useView((view) => view.sameVersion);
  const isReady = left !== undefined && right !== undefined && playhead >= 0;
  const diff = useQuery(
    ['merkle', left, right, playhead, sameVersion],
    async (query, signal) => {
      if (left === undefined || right === undefined) throw new TypeError('a Merkle diff needs two replicas');
      const pair: Pair = sameVersion
        ? await pairAtSameVersion(query, left, right, playhead, signal)
        : { left: { replica: left, position: playhead }, right: { replica: right, position: playhead } };
      const versionAt = async ({ replica, position }: StateAt) =>
        (await query.status(position)).replicas.find((one) => one.replica === replica)?.version;
      const [diff, ...versions] = await Promise.all([
        query.merkleDiff(pair.left, pair.right, LIMIT),
        versionAt(pair.left),
        versionAt(pair.right),
      ]);
      return { diff, pair, versions };
    },
    isReady,
  );
  if (!isReady) {
    return (
      <Empty title="Nothing to compare yet">
        <p>Choose two replicas, and move the playhead past the first record.</p>
      </Empty>
    );
  }
  return (
    <Answer query={diff}>
      {(data) => (
        <Outcome
          diff={data.diff}
          pair={data.pair}
          versions={data.versions}
          left={visible(left)}
          right={visible(right)}
        />
      )}
    </Answer>
  );
}

interface OutcomeProps {
  readonly diff: MerkleDiff;
  readonly pair: Pair;
  /** Of the left and the right at the playhead; undefined where not known. */
  readonly versions: readonly [number | undefined, number | undefined];
  readonly left: string;
  readonly right: string;
}

function Outcome({ diff, pair, versions, left, right }: OutcomeProps): ReactNode {
  if (diff.unknown !== undefined) {
    return (
      <Empty title="One of the states is not known here">
        <p>{visible(diff.unknown)}</p>
      </Empty>
    );
  }
  const { root } = diff;
  return (
    <div className="merkle">
      <p className="mk-head">
        {root.equal ? (
          <span>
            equal: {plural(root.leftCount, 'record')}, root <Hash hash={root.leftHash} />
          </span>
        ) : (
          <span className="mk-sides">
            <span>
              {left}{' '}
              <span className="muted">
                {versionText(versions[0])}
                {plural(root.leftCount, 'record')}
              </span>{' '}
              <Hash hash={root.leftHash} />
            </span>
            <span className="ink-error" role="img" aria-label="differs from">
              ≠
            </span>
            <span>
              {right}{' '}
              <span className="muted">
                {versionText(versions[1])}
                {plural(root.rightCount, 'record')}
              </span>{' '}
              <Hash hash={root.rightHash} />
            </span>
          </span>
        )}
        <span className="muted">
          compared {formatCount(diff.comparedNodes)} of {plural(diff.totalNodes, 'node')}
        </span>
      </p>
      <Versions pair={pair} isEqual={root.equal || versions[0] === versions[1]} />
      {!root.equal && <Tree diff={diff} left={left} right={right} />}
      <Repair diff={diff} />
    </div>
  );
}

function versionText(version: number | undefined): string {
  return version === undefined ? '' : `v${version}, `;
}

function Repair({ diff: { repair, root } }: Pick<OutcomeProps, 'diff'>): ReactNode {
  if (!repair) {
    return root.equal ? null : <p className="mk-repair muted">No repair of this difference was recorded.</p>;
  }
  return (
    <p className="mk-repair">
      Repaired by {repair.method}
      {repair.rounds > 0 && `: ${plural(repair.rounds, 'round')}, ${plural(repair.hashes, 'hash', 'hashes')}`}
      {repair.bytes > 0 && `${repair.rounds > 0 ? ',' : ':'} ${formatBytes(repair.bytes)}`}.{' '}
      <button type="button" className="link" onClick={() => goTo(repair.position)}>
        Show the repair
      </button>
    </p>
  );
}

function Tree({ diff, left, right }: Pick<OutcomeProps, 'diff' | 'left' | 'right'>): ReactNode {
  const [width, setWidth] = useState(0);
  const trie = useMemo(() => foldTrie(diff.root), [diff]);
  const layout = useMemo(() => layoutTrie(trie, width), [trie, width]);
  const [focusedId, setFocusedId] = useState<string>();
  const scroller = useRef<HTMLDivElement>(null);
  const copy = useContext(CopyContext);
  const focused = layout.parts.find((one) => one.part.id === focusedId) ?? layout.parts[0];

  useEffect(() => {
    const element = scroller.current;
    if (!element) return;
    const observer = new ResizeObserver(() => setWidth(element.clientWidth));
    observer.observe(element);
    return () => observer.disconnect();
  }, []);

  const onKeyDown = (event: KeyboardEvent) => {
    if (!focused || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
    const next = neighbour(layout, focused, event.key);
    if (next === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    if (!next) return;
    setFocusedId(next.part.id);
    const index = layout.parts.indexOf(next);
    scroller.current?.querySelectorAll<SVGGElement>('[role=treeitem]')[index]?.focus();
  };

  return (
    <div className="mk-scroll" ref={scroller}>
      <div className="mk-columns" style={{ width: layout.width }} aria-hidden="true">
        <span style={{ left: layout.leftX }}>{left}</span>
        <span style={{ left: layout.rightX }}>{right}</span>
      </div>
      <div
        role="tree"
        tabIndex={-1}
        aria-label={`Merkle trie of ${left} and ${right}, where they differ`}
        onKeyDown={onKeyDown}
      >
        <svg width={layout.width} height={layout.height} role="presentation">
          {differingLast(layout.parts).map(
            (part) => part.parent && <Branch key={part.part.id} from={part.parent} to={part} />,
          )}
          {layout.parts.map((placed) => (
            <Part
              key={placed.part.id}
              placed={placed}
              layout={layout}
              label={describePart(placed.part, left, right)}
              isFocusable={placed === focused}
              onFocus={() => setFocusedId(placed.part.id)}
              onCopy={(text) => void copy(text)}
            />
          ))}
        </svg>
      </div>
    </div>
  );
}

/** Where an arrow key leads; null where that is nowhere, undefined for other keys. */
function neighbour(layout: MerkleLayout, from: PlacedPart, key: string): PlacedPart | null | undefined {
  const index = layout.parts.indexOf(from);
  switch (key) {
    case 'ArrowLeft':
      return from.parent ?? null;
    case 'ArrowRight':
      return layout.parts.find((one) => one.parent === from) ?? null;
    case 'ArrowUp':
      return layout.parts[index - 1] ?? null;
    case 'ArrowDown':
      return layout.parts[index + 1] ?? null;
    default:
      return undefined;
  }
}

/** So that no equal sibling's line covers the way to a difference. */
function differingLast(parts: readonly PlacedPart[]): PlacedPart[] {
  return [...parts].sort((a, b) => Number(b.part.type === 'equal') - Number(a.part.type === 'equal'));
}

function Branch({ from, to }: { readonly from: PlacedPart; readonly to: PlacedPart }): ReactNode {
  const x = from.x + 5.5;
  const y1 = from.y + LINE_HEIGHT - 3;
  const y2 = to.y + LINE_HEIGHT / 2 + 0.5;
  return (
    <path
      className={to.part.type === 'equal' ? 'mk-line' : 'mk-line mk-line-differs'}
      d={`M${x} ${y1}V${y2}H${to.x - 3}`}
    />
  );
}

interface PartProps {
  readonly placed: PlacedPart;
  readonly layout: MerkleLayout;
  readonly label: string;
  readonly isFocusable: boolean;
  readonly onFocus: () => void;
  readonly onCopy: (text: string) => void;
}

function Part({ placed, layout, label, isFocusable, onFocus, onCopy }: PartProps): ReactNode {
  const { part, lines, x, y, depth } = placed;
  const copyText = copiedText(placed.part);
  return (
    <g
      role="treeitem"
      className={`mk-part mk-${part.type}`}
      aria-level={depth + 1}
      aria-label={label}
      {...(part.type === 'branch' ? { 'aria-expanded': true } : {})}
      tabIndex={isFocusable ? 0 : -1}
      onFocus={onFocus}
      onClick={() => copyText && onCopy(copyText)}
      onKeyDown={(event) => {
        if (event.key === 'Enter' && copyText) onCopy(copyText);
      }}
    >
      <title>{copyText ? `${visible(copyText)} (click or Enter to copy)` : label}</title>
      <rect x={x - 3} y={y} width={Math.max(0, layout.width - x - 3)} height={lines.length * LINE_HEIGHT} />
      {lines.map((line, index) => {
        const isField = part.type === 'leaf' && index > 0;
        const role = isField ? 'mk-value' : 'mk-hash';
        return (
          // A part's lines do not change, so that a line's place names it.
          <text key={`${index} ${line.text}`} y={y + index * LINE_HEIGHT + 14}>
            <tspan x={isField ? x + INDENT : x} className={isField ? 'mk-field' : 'mk-name'}>
              {line.text}
            </tspan>
            {line.left !== undefined && line.right !== undefined && (
              <>
                <tspan x={layout.leftX} className={role}>
                  {cut(line.left, layout.columnWidth - 24)}
                </tspan>
                <tspan x={layout.rightX - 18} className="mk-unequal">
                  ≠
                </tspan>
                <tspan x={layout.rightX} className={role}>
                  {cut(line.right, layout.columnWidth - 8)}
                </tspan>
              </>
            )}
          </text>
        );
      })}
    </g>
  );
}

function copiedText(part: MerklePart): string | undefined {
  if (part.type === 'leaf') return part.leaf.key;
  if (part.type === 'branch') return `${part.node.leftHash ?? 'absent'} ≠ ${part.node.rightHash ?? 'absent'}`;
  return undefined;
}

/** `text` as far as it fits into `room` pixels. */
function cut(text: string, room: number): string {
  const most = Math.max(4, Math.floor(room / CHARACTER));
  return text.length > most ? `${text.slice(0, most - 1)}…` : text;
}
