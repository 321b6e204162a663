import { visible } from '../text/visible.ts';
import type { Pair } from './same-version.ts';

/** Says where one of two replicas was taken from earlier, or that what differs may only be on its way. */
export function Versions({ pair, isEqual }: { readonly pair: Pair; readonly isEqual: boolean }) {
  const { aligned, left, right } = pair;
  if (aligned) {
    return (
      <p className="versions-note muted">
        {visible(aligned.replica)} as it was at v{aligned.to}; here it is at v{aligned.from} already.
      </p>
    );
  }
  if (isEqual || left.replica === right.replica) return null;
  return (
    <p className="versions-note muted">
      They are at different versions here: what one of them has not received yet differs too.
    </p>
  );
}
