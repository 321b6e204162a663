import { useQuery } from '../app/query.ts';
import { goTo } from '../app/store.ts';
import { formatTime } from '../text/format.ts';
import { visible } from '../text/visible.ts';
import { lookOfRow } from '../timeline/kinds.ts';
import { Glyph } from '../ui/Glyph.tsx';

/** One record on one line; a press goes there. */
export function RecordLink({ position }: { readonly position: number }) {
  const row = useQuery(['link', position], async (query) => (await query.record(position)).row).data;
  if (!row) return <span className="record-link" />;
  return (
    <button type="button" className={`record-link severity-${row.severity}`} onClick={() => goTo(position)}>
      <span className="number">{row.seq}</span>
      <span className="number muted">{formatTime(row.time)}</span>
      <span className="nowrap">{visible(row.replica)}</span>
      <Glyph look={lookOfRow(row)} />
      <span className="ellipsis">{visible(row.summary)}</span>
    </button>
  );
}
