import { unpackMsgpack } from '../bytes/index.ts';
import { VersionVector } from '../clock/index.ts';
import { StateRoot } from '../merkle/index.ts';
import { DeviceRun, reconcileAnswerSchema } from '../offline/index.ts';
import type { ReplicaId } from '../state/index.ts';
import type { SessionDefinition } from '../sync/index.ts';
import type { Tap, TraceBodyOf } from '../trace/index.ts';
import { parseArguments } from './arguments.ts';
import type { deviceInputs } from './device-inputs.ts';
import type { Input, InputOf } from './inputs.ts';
import type { Step } from './steps.ts';

type DeviceOp = keyof typeof deviceInputs;
export type DeviceTraceInput = InputOf<DeviceOp>;

const OPS: readonly string[] = [
  'deviceStands',
  'deviceMutate',
  'deviceSend',
  'deviceAnswer',
  'deviceFailed',
  'deviceDone',
  'deviceDismiss',
  'deviceStartOver',
] satisfies DeviceOp[];

export function isOfDevice(input: Input): input is DeviceTraceInput {
  return OPS.includes(input.op);
}

/** The steps that can be run: without the app's code, nothing is known of what a device predicts. Each stays in its place. */
export function runnable(steps: readonly Step[], hasDefinition: boolean): readonly Step[] {
  if (hasDefinition) return steps;
  const devices = new Set(steps.flatMap(({ input }) => (input && isOfDevice(input) ? [input.replica] : [])));
  if (devices.size === 0) return steps;
  return steps.map((step) => {
    const { input, ...rest } = step;
    if (!input || !devices.has(input.replica)) return step;
    return { ...rest, input: undefined, notRun: { replica: input.replica, why: 'needs-definition' } };
  });
}

/** The devices of a recorded session that work offline, made anew and handed what was done to them. */
export class DeviceMachines {
  readonly #tap: Tap;
  readonly #definition: SessionDefinition;
  readonly #devices = new Map<ReplicaId, DeviceRun>();

  /** `definition`: the rules by which devices predict. */
  constructor(tap: Tap, definition: SessionDefinition) {
    this.#tap = tap;
    this.#definition = definition;
  }

  has(replica: ReplicaId): boolean {
    return this.#devices.has(replica);
  }

  describe(replica: ReplicaId): void {
    this.#devices.get(replica)?.describe();
  }

  /** @throws SyncError `REPLAY_INPUT_UNFIT`, and what a device throws */
  apply(input: DeviceTraceInput, snapshot: TraceBodyOf<'snapshot'> | undefined): void {
    if (input.op === 'deviceStands') {
      this.#goOn(input, snapshot);
      return;
    }
    const device = this.#devices.get(input.replica);
    // In a branch, somebody may have left out that it ever came.
    if (!device) return;
    switch (input.op) {
      case 'deviceMutate':
        device.mutate(input.wall, input.command, parseArguments(input.args), input.creates);
        return;
      case 'deviceSend':
        device.send(input.wall);
        return;
      case 'deviceAnswer':
        device.take(input.wall, reconcileAnswerSchema.parse(unpackMsgpack(input.answer), 'answer'));
        return;
      case 'deviceFailed':
        device.failed(input.code, input.reason);
        return;
      case 'deviceDone':
        device.done();
        return;
      case 'deviceDismiss':
        device.dismiss(input.counter);
        return;
      case 'deviceStartOver':
        device.startOver();
        return;
    }
  }

  #goOn({ replica, standing, isNew }: InputOf<'deviceStands'>, snapshot: TraceBodyOf<'snapshot'> | undefined): void {
    // One that runs here is where it is; that it is there is seen in what it goes on to do.
    if (this.#devices.has(replica) && !isNew) return;
    const root = StateRoot.from((snapshot?.records ?? []).map(({ key, record }) => [key, record] as const));
    const committed = { version: standing.version, root, vector: VersionVector.from(snapshot?.vector ?? []) };
    this.#devices.set(replica, new DeviceRun(this.#definition, replica, this.#tap, committed, standing));
  }
}
