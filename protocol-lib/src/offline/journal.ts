import type { ReconcileAnswer } from '../messages/index.ts';
import { array, boolean, bytes, type Infer, nullable, object, string, uint } from '../schema/index.ts';
import type { Value } from '../state/index.ts';

const ROW_MAX_BYTES = 256 * 1024 * 1024;
const pathsSchema = array(object({ name: string(256), paths: array(string(1_000), 1_000) }), 10_000);

/**
 * All that a device holds beside its committed records and vector, as plain data: with it and these, another one goes on where this one is.
 * `rows` are its mutations, ids and counters as its storage has them; `request` is what it waits for an answer to, in msgpack.
 */
export const deviceStandingSchema = object({
  session: string(200),
  version: uint,
  progress: uint,
  needsSnapshot: boolean,
  failures: uint,
  limits: object({ maxUnsettled: uint, maxMutation: uint, keepReconciled: uint, keepRefused: uint, keepIds: uint }),
  batch: object({ mutations: uint, bytes: uint }),
  references: object({ commands: pathsSchema, records: pathsSchema }),
  rows: array(object({ key: string(400), value: bytes(ROW_MAX_BYTES) }), 100_000),
  request: nullable(bytes(ROW_MAX_BYTES)),
});
export type DeviceStanding = Infer<typeof deviceStandingSchema>;

/** What is done to a device. `wall` is what its clock said then: milliseconds since 1970. */
export type DeviceInput =
  | { readonly op: 'describe' }
  /** Somebody wants something. `creates` are the collections of the records that it is to make. */
  | {
      readonly op: 'deviceMutate';
      readonly wall: number;
      readonly command: string;
      readonly args: Value;
      readonly creates: readonly string[];
    }
  /** It asks the authority, with what waits. */
  | { readonly op: 'deviceSend'; readonly wall: number }
  | { readonly op: 'deviceAnswer'; readonly wall: number; readonly answer: ReconcileAnswer }
  | { readonly op: 'deviceFailed'; readonly code: string; readonly reason: string }
  /** All was settled. */
  | { readonly op: 'deviceDone' }
  | { readonly op: 'deviceDismiss'; readonly counter: number }
  | { readonly op: 'deviceStartOver' };

/** Where the inputs of one device are written, so that it can be run again. What runs in it is at one moment. */
export interface OfflineJournal {
  /** Whether somebody listens. */
  readonly isOpen: boolean;
  /** Whether who listens knows where the device stands. */
  readonly hasBegun: boolean;
  /** Right behind its description. `isNew`: another of this name was there before, or none. */
  begin(standing: DeviceStanding, isNew: boolean): void;
  run(input: DeviceInput, work: () => void): void;
  /** What is no input, or one of a device that has not begun. */
  aside(work: () => void): void;
}
