import type { SyncError } from '@syncscope/protocol/errors';
import type { ReactNode } from 'react';
import type { QueryHandle } from '../app/query.ts';
import { formatCount } from '../text/format.ts';
import { visible } from '../text/visible.ts';
import { Button, IconButton, Spinner } from './controls.tsx';

/** A view with nothing in it says why, and what to do. */
export function Empty({ title, children }: { readonly title: string; readonly children?: ReactNode }) {
  return (
    <div className="empty">
      <p className="empty-title">{title}</p>
      {children && <div className="empty-body">{children}</div>}
    </div>
  );
}

/** Where a fault is, as far as it is known: file, offset, version, key. */
export function placeOf(place: SyncError['place']): string {
  const parts = [
    place.file,
    place.offset === undefined ? undefined : `byte ${formatCount(place.offset)}`,
    place.version === undefined ? undefined : `v${place.version}`,
    place.key,
  ];
  return parts.filter((part) => part !== undefined).join(' · ');
}

export interface FaultViewProps {
  readonly error: Pick<SyncError, 'code' | 'message' | 'place'>;
  readonly onRetry?: () => void;
}

/** An error where it happened: what, where, its code, and a way on. */
export function FaultView({ error, onRetry }: FaultViewProps) {
  const isCancelled = error.code === 'QUERY_CANCELLED';
  const place = placeOf(error.place);
  return (
    <div className={isCancelled ? 'fault fault-quiet' : 'fault'} role={isCancelled ? 'status' : 'alert'}>
      <p>{isCancelled ? 'Stopped before the answer came.' : visible(error.message)}</p>
      {!isCancelled && (
        <p className="muted mono">
          {error.code}
          {place && ` · ${visible(place)}`}
        </p>
      )}
      {onRetry && <Button label="Try again" onPress={onRetry} />}
    </div>
  );
}

/** Shown over a view that waits: only after 300 ms, and with a way to stop. */
export function Waiting({ query }: { readonly query: QueryHandle<unknown> }) {
  if (!query.isSlow) return null;
  return (
    <div className="waiting" role="status">
      <Spinner label="Working" />
      <span className="muted">working</span>
      <IconButton icon="close" label="Stop waiting" onPress={query.cancel} />
    </div>
  );
}

/**
 * The frame of a view: its answer where there is one, its error where that is all there is, its progress over both.
 * An answer that is shown while a newer question failed says so.
 */
export function Answer<T>({
  query,
  children,
}: {
  readonly query: QueryHandle<T>;
  readonly children: (data: T) => ReactNode;
}) {
  return (
    <>
      <Waiting query={query} />
      {query.error && <FaultView error={query.error} onRetry={query.retry} />}
      {query.data !== undefined && children(query.data)}
    </>
  );
}
