import { useEffect } from 'react';
import { formatCount } from '../text/format.ts';
import { visible } from '../text/visible.ts';
import { IconButton } from '../ui/controls.tsx';
import { placeOf } from '../ui/states.tsx';
import { useQuery } from './query.ts';
import { notify, update, useApp } from './store.ts';

/** What is said about the whole capture: one line each. */
export function Notices() {
  const error = useApp((state) => state.error);
  const session = useApp((state) => state.session);
  const records = useApp((state) => state.records);
  const info = useQuery(['notices'], (query) => query.info(), true, records);
  const cut = info.data?.cut;
  const lost = info.data?.lost ?? 0;
  return (
    <div className="notices">
      {error && session.state !== 'failed' && (
        <div className="notice notice-error" role="alert">
          <span>
            {visible(error.message)}{' '}
            <span className="muted mono">
              {[error.code, placeOf(error.place)].filter((part) => part !== '').join(' · ')}
            </span>
          </span>
          <IconButton
            icon="close"
            label="Dismiss"
            onPress={() =>
              update((draft) => {
                draft.error = undefined;
              })
            }
          />
        </div>
      )}
      {cut && (
        <div className="notice notice-warning" role="status">
          <span>
            {sentence(visible(cut.message))} <span className="muted mono">byte {formatCount(cut.offset)}</span>
          </span>
        </div>
      )}
      {lost > 0 && (
        <div className="notice notice-warning" role="status">
          <span>
            {formatCount(lost)} records were lost before they reached the capture. Look for{' '}
            <span className="mono">gap</span> in the stream; the state after one may be unknown until the next snapshot.
          </span>
        </div>
      )}
      {session.state === 'closed' && (
        <div className="notice" role="status">
          <span>
            The session has ended{session.note ? `: ${visible(session.note)}` : ''}. Everything up to then is still
            here; Save keeps it.
          </span>
        </div>
      )}
    </div>
  );
}

function sentence(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1);
}

const SHOWN_FOR_MS = 6_000;

/** What became of something that was just done. Over the views, so that nothing moves for it, and gone by itself. */
export function Notice() {
  const notice = useApp((state) => state.notice);
  useEffect(() => {
    if (notice === undefined) return;
    const timer = setTimeout(() => notify(undefined), SHOWN_FOR_MS);
    return () => clearTimeout(timer);
  }, [notice]);
  if (notice === undefined) return null;
  return (
    <div className="passing-notice" role="status">
      <span>{visible(notice)}</span>
      <IconButton icon="close" label="Dismiss" onPress={() => notify(undefined)} />
    </div>
  );
}
