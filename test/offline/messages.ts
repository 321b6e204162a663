import type { ReconcileRequest } from '@syncscope/protocol/offline';

/** What the device's process tells the test's, and is answered. */
export type FromDevice =
  | { readonly kind: 'making'; readonly what: string }
  | { readonly kind: 'made'; readonly what: string }
  | { readonly kind: 'request'; readonly id: number; readonly request: ReconcileRequest }
  | { readonly kind: 'drained'; readonly counts: Readonly<Record<string, number>> };

export interface ToDevice {
  readonly id: number;
  readonly answer: unknown;
}
