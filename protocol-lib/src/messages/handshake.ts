import { array, boolean, literal, object, optional, secret, string, uint } from '../schema/index.ts';
import { replicaIdSchema, stateHashSchema } from '../state/index.ts';

/** Features and a few plain values only: these frames must be readable by every version for ever, without a name table. */
const featuresSchema = array(string(40), 100);

/**
 * The first frame of a client. `protocolMin` and `protocolMax` come first on the wire and stay there, so
 * that a build which knows nothing else of a later HELLO can still answer UPGRADE_REQUIRED.
 */
export const helloSchema = object({
  protocolMin: uint,
  protocolMax: uint,
  session: string(100),
  replica: replicaIdSchema,
  token: secret(string(500)),
  features: featuresSchema,
  /** The lowest counter that a COMMAND of this client may still carry: all below are settled for it. */
  next: uint,
  role: optional(literal('client', 'peer')),
  /** The committed state that the client still holds, and of which life of the session it is. */
  resume: optional(object({ version: uint, progress: uint, root: stateHashSchema, incarnation: uint })),
});

/** The answer to an accepted HELLO. The state follows: a delta where `resumed`, a FULL_SYNC where not. */
export const welcomeSchema = object({
  protocol: uint,
  features: featuresSchema,
  session: string(100),
  replica: replicaIdSchema,
  authority: replicaIdSchema,
  /**
   * What an acknowledged mutation survives: `memory` nothing but the session, `broker` a crash of the authority, `process` a crash
   * of every process, `log` a crash of the machine.
   */
  durability: literal('memory', 'broker', 'process', 'log'),
  /** Nanoseconds between two deltas. */
  syncInterval: uint,
  /** Whether the client's own state is carried on from. Never where it is of another life of the session. */
  resumed: boolean,
  /** Which life of the session this is: within one, a version is one state; an authority that has lost the session's history begins another. */
  incarnation: uint,
  /**
   * How often deltas are acknowledged: at the latest each `every`th, and whatever was applied within so many nanoseconds. Where absent, each
   * delta is.
   */
  acknowledge: optional(object({ every: uint, within: uint })),
});

/** The answer to a HELLO whose protocol versions do not meet ours; the link is closed after. */
export const upgradeRequiredSchema = object({ protocolMin: uint, protocolMax: uint, message: string(2_000) });

/** A frame was refused and changed nothing. Codes are those of `SyncError`. */
export const errorSchema = object({ code: string(60), message: string(2_000) });

/** The sender ends the link. `reconnect`: nanoseconds after which a client may come back, here or to another server of the session. */
export const byeSchema = object({ reason: string(500), reconnect: optional(uint) });

/** Names that later frames of the sender refer to by number, from `first` on. */
export const namesSchema = object({ first: uint, names: array(string(256), 65_535) });
