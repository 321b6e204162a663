import { formatTime } from '../text/format.ts';
import { visible } from '../text/visible.ts';
import { KIND_STYLES } from '../timeline/kinds.ts';
import { useQuery } from './query.ts';
import { useView } from './store.ts';

/** The selection in one sentence, for screen readers. */
export function Announcer() {
  const selection = useView((view) => view.selection);
  const record = useQuery(
    ['announce', selection],
    async (query) => (await query.record(selection ?? 0)).row,
    selection !== undefined,
  );
  const row = record.data;
  const text = row
    ? `Record ${row.seq} at ${formatTime(row.time)}, ${row.replica}, ${KIND_STYLES[row.kind].label}: ${visible(row.summary)}${
        row.severity === 'error' ? ', an error' : row.severity === 'warning' ? ', a warning' : ''
      }`
    : '';
  return (
    <div className="visually-hidden" role="status" aria-live="polite">
      {text}
    </div>
  );
}
