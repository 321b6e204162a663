import {
  array,
  boolean,
  finite,
  type Infer,
  literal,
  object,
  optional,
  type Schema,
  string,
  uint,
  variant,
} from '@syncscope/protocol/schema';
import { replicaIdSchema } from '@syncscope/protocol/state';
import { faultSpecSchema, sourceLocationSchema } from '@syncscope/protocol/trace';
import { wireErrorSchema } from './errors.ts';
import { timeRange } from './results.ts';
import { integer, maybe } from './values.ts';

/** How long the texts of a session may be, characters. */
export const SESSION_TEXT = { title: 200, place: 4_000, note: 2_000 } as const;

/** What is being inspected, as the host sees it. Sent whole on every change and again on `ready`. */
export const sessionSchema = object({
  /** `none`: nothing chosen yet. `opening`: wait. `closed`: was live and has ended; everything up to then is still here. */
  state: literal('none', 'opening', 'open', 'closed', 'failed'),
  source: literal('live', 'file'),
  title: string(SESSION_TEXT.title),
  /** The file's name or the session's address. */
  place: string(SESSION_TEXT.place),
  /** While opening: from 0 to 1, where it is known. */
  progress: optional(finite),
  mayInject: boolean,
  /** Replicas that a fault may be aimed at. */
  targets: array(replicaIdSchema),
  /** Whether what arrives is also being written to a file. */
  recording: boolean,
  /** Why it closed, or anything else worth a line. */
  note: optional(string(SESSION_TEXT.note)),
});
export type SessionState = Infer<typeof sessionSchema>;

export const emptySession: SessionState = {
  state: 'none',
  source: 'file',
  title: '',
  place: '',
  mayInject: false,
  targets: [],
  recording: false,
};

/** Pushed by the host. */
export const hostEventSchema = variant('event', {
  session: object({ session: sessionSchema }),
  /** The capture is now this long. At most one a frame. */
  grow: object({ records: uint, range: timeRange }),
  error: object({ error: wireErrorSchema }),
  /** Somewhere outside the inspector a record was chosen: go there. Numbered, since it is told again until it is known to have arrived. */
  reveal: object({ id: uint, position: integer }),
});
export type HostEvent = Infer<typeof hostEventSchema>;

/** Asked of the host by the inspector. Each is answered, with an error where it failed. */
export const hostCommandSchema = variant('command', {
  /** Choose another capture, by whatever dialog the host has. */
  open: object({}),
  /** Write what was captured so far to a file of the user's choice: without secrets, those of `rules` among them, or `unredacted`; as the host has it set where neither is said. */
  save: object({
    unredacted: optional(boolean),
    rules: optional(object({ paths: array(string(1_000), 100), patterns: array(string(1_000), 100) })),
  }),
  /** Leave the live session; the capture stays. */
  stop: object({}),
  fault: object({ spec: faultSpecSchema }),
  openSource: object({ source: sourceLocationSchema }),
  copy: object({ text: string(1_000_000) }),
  /** Where the user is, for hosts that show it elsewhere or restore it. */
  setViewState: object({
    playhead: integer,
    selection: optional(integer),
    left: optional(replicaIdSchema),
    right: optional(replicaIdSchema),
  }),
});
export type HostCommand = Infer<typeof hostCommandSchema>;

/** From the inspector to its host. */
export const inspectorMessageSchema = variant('type', {
  /** The inspector has just been loaded or shown: answered by the present session, size and last error. */
  ready: object({}),
  /** The `reveal` of this number has arrived. */
  revealed: object({ id: uint }),
  query: object({ id: uint, method: string(40), args: array(unknownValue(), 8) }),
  cancel: object({ id: uint }),
  command: object({ id: uint, command: hostCommandSchema }),
});
export type InspectorMessage = Infer<typeof inspectorMessageSchema>;

/** From the host to the inspector. `value` is validated by the contract of the method that was asked. */
export const hostMessageSchema = variant('type', {
  result: object({ id: uint, value: maybe(unknownValue()) }),
  failure: object({ id: uint, error: wireErrorSchema }),
  event: object({ event: hostEventSchema }),
});
export type HostMessage = Infer<typeof hostMessageSchema>;

/** Passed through here and validated by whoever knows what it should be. */
function unknownValue(): Schema<unknown> {
  return { parse: (value) => value };
}
