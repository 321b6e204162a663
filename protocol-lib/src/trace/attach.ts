import {
  array,
  boolean,
  bytes,
  finite,
  type Infer,
  literal,
  object,
  optional,
  string,
  uint,
  variant,
} from '../schema/index.ts';
import { replicaIdSchema } from '../state/index.ts';
import { traceHeaderSchema } from './records.ts';

/**
 * The attach protocol, spoken over a WebSocket at `/inspect` on loopback. Each frame is one msgpack
 * value. Subprotocols: `syncscope.v1` and `token.<hex>` (or `Authorization: Bearer <hex>`).
 */
export const ATTACH_SUBPROTOCOL = 'syncscope.v1';
export const ATTACH_TOKEN_PREFIX = 'token.';

/** What a session may understand beside faults; it says which in its header. One that is asked for something else closes, so nobody asks. */
export const ATTACH_FEATURES = ['end', 'pace', 'flush'] as const;
export type AttachFeature = (typeof ATTACH_FEATURES)[number];

/** Networks as people have them, by name: each sets latency, loss, duplication and reordering at once. */
export const NETWORK_PRESETS = ['home broadband', 'train', 'satellite', 'conference Wi-Fi'] as const;
export type NetworkPreset = (typeof NETWORK_PRESETS)[number];

/** A fault that an observer with the inject role may ask for. Times in milliseconds, rates from 0 to 1. Without a target it is for everybody. */
export const faultSpecSchema = variant('fault', {
  /** Changes one value of the target's own copy, behind the protocol's back. */
  corrupt: object({ target: replicaIdSchema, key: optional(string(256)), field: optional(string(256)) }),
  /** Does not deliver the next delta to the target; among peers, the next change or operation, or the next of that name. */
  'drop-delta': object({ target: replicaIdSchema, news: optional(string(40)) }),
  latency: object({ target: optional(replicaIdSchema), mean: finite, jitter: finite }),
  loss: object({ target: optional(replicaIdSchema), rate: finite }),
  /** That share of frames arrives twice. */
  duplication: object({ target: optional(replicaIdSchema), rate: finite }),
  /** That share of frames is held back for up to `by`, and overtaken by those behind it. */
  reordering: object({ target: optional(replicaIdSchema), rate: finite, by: finite }),
  /** Nothing passes between these and everybody else, nor between two groups. Whoever is named in no group stays with the rest; no group at all heals. */
  partition: object({ groups: array(array(replicaIdSchema, 1_000), 100) }),
  /** The reducer of the target answers something else each time, for so many events. */
  reducer: object({ target: replicaIdSchema, events: uint }),
  /** The clock of the target is ahead by so much, or behind where negative. */
  'clock-skew': object({ target: replicaIdSchema, by: finite }),
  /** The target ends without a word, forgets what is not on a disk, and starts again after `downtime`. */
  crash: object({ target: replicaIdSchema, downtime: finite }),
  network: object({ target: optional(replicaIdSchema), preset: literal(...NETWORK_PRESETS, 'healthy') }),
});
export type FaultSpec = Infer<typeof faultSpecSchema>;

/** To the observer. `batch` stands for trace records, most of them told by what is new in them (`capture/batch-format.ts`). */
export const attachServerMessageSchema = variant('type', {
  header: object({
    header: traceHeaderSchema,
    mayInject: boolean,
    targets: array(replicaIdSchema),
    /** {@link AttachFeature}s, and those of a later build. Absent: none. */
    features: optional(array(string(40), 100)),
  }),
  records: object({ batch: bytes() }),
  answer: object({ request: uint, error: optional(object({ code: string(60), message: string(2_000) })) }),
  closing: object({ reason: string(500) }),
});
export type AttachServerMessage = Infer<typeof attachServerMessageSchema>;

/** From the observer. */
export const attachClientMessageSchema = variant('type', {
  fault: object({ request: uint, spec: faultSpecSchema }),
  /** The feature `end`: asks for all that was told up to now. The answer comes behind it, and nothing more. */
  end: object({ request: uint }),
  /** The feature `flush`: asks for all that was told up to now, without waiting for more to be sent with it. The answer comes behind it. */
  flush: object({ request: uint }),
  /** The feature `pace`: of a stream, something each so many milliseconds is enough. A session may send more often, as where others are attached. Not answered. */
  pace: object({ every: uint }),
});
export type AttachClientMessage = Infer<typeof attachClientMessageSchema>;

/** A discovery file: one inspectable process. Kept with mode 0600 in a per-user folder and removed at exit. */
export const discoverySchema = object({
  version: literal(1),
  id: string(100),
  title: string(200),
  scenario: string(100),
  /** `http://127.0.0.1:PORT`: the attach endpoint is its `/inspect`, the inspector's page its `/`. */
  url: string(200),
  /** 64 hex digits: may observe. */
  token: string(64),
  /** 64 hex digits: may also inject faults. */
  injectToken: string(64),
  pid: uint,
  startedAt: uint,
});
export type Discovery = Infer<typeof discoverySchema>;
