import type { ReactNode } from 'react';
import { Glyph } from '../ui/Glyph.tsx';
import { GROUP_STYLES, KIND_STYLES, TICK_KINDS } from './kinds.ts';

const SHOWN_KINDS = (Object.keys(KIND_STYLES) as Array<keyof typeof KIND_STYLES>)
  .filter((kind) => !TICK_KINDS.has(kind))
  .sort((a, b) => KIND_STYLES[b].weight - KIND_STYLES[a].weight);

/** What the shapes and lines mean. */
export function Legend(): ReactNode {
  return (
    <div className="tl-legend" role="note" aria-label="Legend of the timeline">
      <ul>
        {SHOWN_KINDS.map((kind) => (
          <li key={kind}>
            <Glyph look={KIND_STYLES[kind]} />
            {KIND_STYLES[kind].label}
          </li>
        ))}
      </ul>
      <ul>
        <li>
          <span className="tl-key tl-key-agrees" /> agrees with the reference
        </li>
        <li>
          <span className="tl-key tl-key-predicted" /> predicted
        </li>
        <li>
          <span className="tl-key tl-key-differs" /> differs
        </li>
        <li>
          <span className="tl-key" /> unknown
        </li>
        {(['message', 'change', 'prediction', 'hash'] as const).map((group) => (
          <li key={group}>
            <span className={`tl-key tl-swatch ink-${GROUP_STYLES[group].ink}`} /> {GROUP_STYLES[group].label}
          </li>
        ))}
      </ul>
      <dl>
        <div>
          <dt>wheel, + −</dt>
          <dd>zoom</dd>
        </div>
        <div>
          <dt>drag, Shift+wheel, Page Up/Down</dt>
          <dd>move</dd>
        </div>
        <div>
          <dt>0, double-click above</dt>
          <dd>all</dd>
        </div>
        <div>
          <dt>↑ ↓, Enter</dt>
          <dd>choose a lane, the nearest record on it</dd>
        </div>
        <div>
          <dt>Alt+wheel</dt>
          <dd>scroll the lanes</dd>
        </div>
      </dl>
    </div>
  );
}
