import { SyncError } from '@syncscope/protocol/errors';
import { milliseconds } from '@syncscope/protocol/ports';
import type { GroupDefinition, GroupNode, GroupPorts } from '@syncscope/protocol/replay';
import { boolean, bytes, finite, type Infer, object, optional, string, uint } from '@syncscope/protocol/schema';
import type { Change, ReplicaId, Value } from '@syncscope/protocol/state';
import type { PeerNode, PeerScenario } from './peer-scenario.ts';
import { BEGINS } from './skewed-clock.ts';
import { unpackContents, unpackStanding } from './standing.ts';
import { PeerStorage } from './storage.ts';

const madeSchema = object({
  scenario: string(80),
  seed: finite,
  compress: finite,
  startedAt: finite,
  by: finite,
  /** Of how many lives of this peer this is the last. */
  life: uint,
  /** What its storage had, where nobody who listened could know it. */
  stored: optional(bytes()),
});
const skewSchema = object({ by: finite });
const unsteadySchema = object({ events: uint });
const stopSchema = object({ reason: string(500), isCrash: boolean });

/** How the peers of a scenario are run again from a recording that has what a {@link PeerWorld} did to them. */
export function peerScenarioGroup(scenario: PeerScenario): GroupDefinition {
  return {
    open: (ports, made, before, standing) => new ScenarioNode(scenario, ports, made, { before, standing }),
  };
}

/** What was there before a node begins. */
interface Origin {
  readonly before: GroupNode | undefined;
  readonly standing: Uint8Array | undefined;
}

class ScenarioNode implements GroupNode {
  /** Outlives a crash. */
  readonly #storage: PeerStorage;
  readonly #node: PeerNode;
  /** Nanoseconds by which its clock is ahead. */
  #by: number;

  constructor(scenario: PeerScenario, ports: GroupPorts, value: Value, { before, standing }: Origin) {
    const made = madeSchema.parse(value, 'made');
    const { seed, compress, startedAt, by } = made;
    const stands = standing && unpackStanding(standing);
    if (stands) this.#storage = PeerStorage.of(stands.stored);
    else this.#storage = before instanceof ScenarioNode ? before.#storage : storageOf(made, ports.replica);
    this.#by = by;
    const { replica, session, members, random, clock, tap, send } = ports;
    this.#node = scenario.open({
      replica,
      session,
      members,
      seed,
      random,
      clock,
      timer: { now: () => clock.now() - this.#by },
      wallTime: () => startedAt + Math.floor((clock.now() - BEGINS) / milliseconds(1)),
      tap,
      storage: this.#storage,
      compress,
      send,
      ...(stands ? { standing: stands.node } : {}),
    });
  }

  receive(frame: Uint8Array, from: ReplicaId | undefined): void {
    if (from !== undefined) this.#node.receive(from, frame);
  }

  tick(): void {
    this.#node.tick();
  }

  act(action: string, args: Value): void {
    switch (action) {
      case 'describe':
        this.#node.describe();
        return;
      case 'skew':
        this.#by = skewSchema.parse(args, action).by;
        return;
      case 'unsteady':
        this.#node.unsteady(unsteadySchema.parse(args, action).events);
        return;
      case 'stop': {
        const { reason, isCrash } = stopSchema.parse(args, action);
        this.#node.stop(reason, isCrash);
        return;
      }
      default:
        throw new SyncError('REPLAY_INPUT_UNFIT', `${action} is nothing that is done to a peer of a scenario`, {
          origin: 'capture',
        });
    }
  }

  corrupt(changes: readonly Change[]): void {
    for (const change of changes) this.#node.corrupt(change);
  }

  end(): void {}
}

/** @throws SyncError `REPLAY_INPUT_UNFIT` where a peer had lives before of which the recording does not tell */
function storageOf({ life, stored }: Infer<typeof madeSchema>, replica: ReplicaId): PeerStorage {
  if (stored) return PeerStorage.of(unpackContents(stored));
  if (life === 1) return new PeerStorage();
  const text = `${replica} came back with what it had stored, and the recording does not say what that was`;
  throw new SyncError('REPLAY_INPUT_UNFIT', text, { origin: 'capture' });
}
