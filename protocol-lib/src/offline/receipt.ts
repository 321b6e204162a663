import type { ReplicaId } from '../state/index.ts';
import type { OwnReceipt, ReceiptOutcome } from '../sync/index.ts';
import type { OfflineEntry } from './rows.ts';

/** As `OwnReceipt`, with times in milliseconds since 1970, so that it goes on across restarts of the device. */
export type OfflineReceipt = OwnReceipt;

export function offlineReceipt(device: ReplicaId, entry: OfflineEntry): OfflineReceipt {
  const { mutation, sentAt, sends, rebases, alterations, settledAt } = entry;
  const { counter, command, madeAt, madeOn } = mutation;
  const made = { mutation: { writer: device, counter }, command, madeAt, madeOn };
  return { ...made, sentAt, sends, rebases, alterations, outcome: outcomeOf(entry), settledAt };
}

function outcomeOf({ state, version = 0, reason = '' }: OfflineEntry): ReceiptOutcome {
  if (state === 'pending' || state === 'sent') return { state: 'pending' };
  return state === 'reconciled' ? { state: 'accepted', version } : { state: 'rejected', version, reason };
}
