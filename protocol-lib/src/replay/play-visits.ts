import type { ReplicaId } from '../state/index.ts';
import type { PlayedAction, PlayedVisit } from './play-script.ts';

/** Where a recording has somebody leave and come back: connections that broke, and who left for good. */
export class Visits {
  readonly #away = new Map<ReplicaId, PlayedVisit>();
  readonly #breaks: { readonly gone: PlayedVisit; readonly back: PlayedVisit }[] = [];

  /** A connection ended. Both of its ends may say so. */
  gone(replica: ReplicaId, seq: number, time: number): void {
    if (!this.#away.has(replica)) this.#away.set(replica, { kind: 'leave', replica, seq, time });
  }

  /** Somebody is there, which is also told of who was there all the time. */
  here(replica: ReplicaId, seq: number, time: number): void {
    const gone = this.#away.get(replica);
    this.#away.delete(replica);
    const back = { kind: 'return', replica, seq, time } as const;
    if (gone) this.#breaks.push({ gone: { ...gone, kind: 'break' }, back });
  }

  /** Each behind all that was decided before. */
  among(actions: readonly PlayedAction[]): PlayedAction[] {
    const all: PlayedAction[] = [...actions];
    const joined = new Map<ReplicaId, number>();
    for (const one of actions) if (one.kind === 'join') joined.set(one.replica, one.seq);
    const hasJoined = ({ replica, seq }: PlayedVisit): boolean =>
      (joined.get(replica) ?? Number.POSITIVE_INFINITY) < seq;
    for (const { gone, back } of this.#breaks.filter((one) => hasJoined(one.gone))) {
      put(all, gone, Math.max(placeOf(all, gone.seq), behindLast(all, gone.replica, back.seq)));
      put(all, back, placeOf(all, back.seq));
    }
    for (const visit of [...this.#away.values()].filter(hasJoined)) {
      const at = placeOf(all, visit.seq);
      // Behind everything, it is the recording that ended.
      if (at < all.length) put(all, visit, at);
    }
    return all;
  }
}

function put(into: PlayedAction[], visit: PlayedVisit, at: number): void {
  into.splice(at, 0, visit);
}

function placeOf(actions: readonly PlayedAction[], seq: number): number {
  const at = actions.findIndex((one) => orderOf(one) > seq);
  return at < 0 ? actions.length : at;
}

/** Behind the last command of a client that was decided before: one may have come and be decided when its connection was gone. */
function behindLast(actions: readonly PlayedAction[], replica: ReplicaId, before: number): number {
  return actions.findLastIndex((one) => one.kind === 'intent' && one.replica === replica && orderOf(one) < before) + 1;
}

function orderOf(action: PlayedAction): number {
  return 'answer' in action ? action.answer.seq : action.seq;
}
