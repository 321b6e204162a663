import type { TraceRecord } from '../trace/index.ts';
import type { RecordRef } from './finding.ts';
import type { Pending, Trail } from './trail.ts';

/** What a client predicted and waits for. */
export function takeOwnMutation({ body, time }: TraceRecord, ref: RecordRef, trail: Trail): void {
  const counts = { framesSent: trail.wasHeard, framesReceived: trail.heard };
  switch (body.kind) {
    case 'prediction': {
      const { version, changes } = body;
      const isFirst = trail.pending.size === 0;
      // Who comes back tells of itself again, and still waits for what it made before.
      trail.isPendingKnown ||= body.mutation.counter === 1;
      const told = { ref, time, version, changes, isFirst, isAged: true, toldAt: ref.position, ...counts };
      trail.pending.replace(body.mutation.counter, told);
      trail.repredicted();
      return;
    }
    case 'rebase':
      trail.isPendingKnown = true;
      body.pending.forEach(({ mutation, changes }, at) => {
        const told = { version: body.version, changes, isFirst: at === 0, toldAt: ref.position };
        const known: Pending = trail.pending.get(mutation.counter) ?? { ref, time, isAged: false, ...told, ...counts };
        trail.pending.replace(mutation.counter, { ...known, ...told });
      });
      trail.repredicted();
      return;
    case 'confirmation':
    case 'rollback':
      trail.pending.delete(body.mutation.counter);
      return;
    default:
      return;
  }
}
