import type { ReplicaId } from '../state/index.ts';
import type { SourceLocation, Tap, TraceBody } from '../trace/index.ts';
import { isOfSession } from './live-steps.ts';
import type { Placed } from './steps.ts';

/**
 * The tap of the endpoints of a branch: among what they tell, it tells what others told when it was recorded – faults, presence, what an app's own observer made of
 * their records –, each in its place. As long as all goes as it did.
 */
export class BesideTap implements Tap {
  readonly #tap: Tap;
  #recorded: readonly Placed[] = [];
  #at = 0;

  constructor(tap: Tap) {
    this.#tap = tap;
  }

  get isOpen(): boolean {
    return this.#tap.isOpen;
  }

  /** What an input has made that is handed over now; nothing where it goes otherwise. */
  expect(records: readonly Placed[]): void {
    this.#recorded = records;
    this.#at = 0;
  }

  emit(
    replica: ReplicaId,
    body: TraceBody,
    cause?: readonly number[],
    wire?: Uint8Array,
    source?: SourceLocation,
  ): number {
    this.tellBeside();
    this.#at++;
    return this.#tap.emit(replica, body, cause, wire, source);
  }

  /** What stands here that no endpoint makes. */
  tellBeside(): void {
    for (let one = this.#recorded[this.#at]; one && !isOfSession(one); one = this.#recorded[this.#at]) {
      const { replica, body, wire } = one.record;
      this.#tap.emit(replica, body, [], wire);
      this.#at++;
    }
  }
}
