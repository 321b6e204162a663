import { deviceStandingSchema } from '../offline/index.ts';
import { array, boolean, bytes, finite, object, string, uint } from '../schema/index.ts';
import { replicaIdSchema } from '../state/index.ts';

/** Whose input it is, and the time in nanoseconds of the trace. */
const head = { replica: replicaIdSchema, now: uint };
/** And what the device's own clock said: milliseconds since 1970. */
const timed = { ...head, wall: finite };

/** What is done to devices that work offline, see `DeviceInput`. What is written is what was done, never what the storage did. */
export const deviceInputs = {
  /** A device goes on from here; its records and its vector are those of its last `snapshot` record. `isNew`: it is none that was there before. */
  deviceStands: object({ ...head, standing: deviceStandingSchema, isNew: boolean }),
  deviceMutate: object({ ...timed, command: string(), args: string(100_000_000), creates: array(string(256), 10_000) }),
  deviceSend: object(timed),
  /** The answer in msgpack. */
  deviceAnswer: object({ ...timed, answer: bytes(1024 * 1024 * 1024) }),
  deviceFailed: object({ ...head, code: string(200), reason: string(10_000) }),
  deviceDone: object(head),
  deviceDismiss: object({ ...head, counter: uint }),
  deviceStartOver: object(head),
} as const;
