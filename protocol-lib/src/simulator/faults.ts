import { milliseconds } from '../ports/index.ts';
import { type Change, recordKey } from '../state/index.ts';
import type { Stream } from './choices.ts';
import type { ClientNode } from './nodes.ts';
import { drawValue } from './operations.ts';
import type { FaultClass } from './shape.ts';

/** Faults that strike at a moment; the others are rates of a link or traits of a node. */
export const STRIKING = [
  'cut',
  'half-open',
  'stall',
  'partition',
  'pause',
  'server-pause',
  'restart',
  'clock',
  'corrupt',
  'crash',
  'disk',
] as const satisfies readonly FaultClass[];
export type StrikingFault = (typeof STRIKING)[number];

/** What a fault can do to the world. Times in nanoseconds. */
export interface FaultTarget {
  readonly now: number;
  pause(node: 'server' | ClientNode, duration: number): void;
  /** Breaks the client's connection; each side hears of it after a while. */
  breakSocket(client: ClientNode, parts: { up: number; down: number }, heard: { client: number; server: number }): void;
  restart(client: ClientNode, isHeard: boolean): void;
  /** The authority's process ends and starts again at once; each client hears of it after a while. */
  crash(stream: Stream): void;
  /** Answers whether there is a disk. */
  failDisk(stream: Stream): boolean;
  stepClock(node: 'server' | ClientNode, by: number): void;
  /** Changes a client's committed state behind the protocol's back. */
  corrupt(client: ClientNode, changes: readonly Change[]): void;
}

/** Carries out one fault. What it is was drawn before; here is drawn how. Returns a line for people. */
export function strike(fault: StrikingFault, client: ClientNode, stream: Stream, world: FaultTarget): string {
  switch (fault) {
    case 'cut': {
      const heard = { client: milliseconds(stream.int(0, 300)), server: milliseconds(stream.int(0, 300)) };
      world.breakSocket(client, { up: stream.next(), down: stream.next() }, heard);
      return 'its connection breaks';
    }
    case 'half-open': {
      const late = milliseconds(stream.int(500, 12_000));
      const isServerLate = stream.chance(0.6);
      const heard = isServerLate ? { client: 0, server: late } : { client: late, server: 0 };
      world.breakSocket(client, { up: stream.next(), down: stream.next() }, heard);
      return `its connection breaks, and ${isServerLate ? 'the authority' : 'it'} hears of it ${late / 1e6} ms later`;
    }
    case 'stall':
    case 'partition': {
      if ((fault === 'stall') !== (client.shape.link.model === 'stream') && fault === 'stall')
        return 'nothing: it has no stream';
      const until = world.now + milliseconds(stream.pick([100, 500, 2_000, 5_000]));
      const ways = stream.pick(fault === 'stall' ? (['up', 'down'] as const) : (['up', 'down', 'both'] as const));
      const { blockedUntil } = client.conditions;
      if (ways !== 'down') blockedUntil.up = Math.max(blockedUntil.up, until);
      if (ways !== 'up') blockedUntil.down = Math.max(blockedUntil.down, until);
      return `nothing passes ${ways === 'both' ? 'either way' : ways} for ${(until - world.now) / 1e6} ms`;
    }
    case 'pause':
    case 'server-pause': {
      const duration = milliseconds(stream.pick([50, 500, 3_000, 12_000, 60_000]));
      world.pause(fault === 'pause' ? client : 'server', duration);
      return `stands still for ${duration / 1e6} ms`;
    }
    case 'restart': {
      const isHeard = stream.chance(0.5);
      world.restart(client, isHeard);
      return isHeard ? 'starts anew' : 'starts anew, and the authority has not heard';
    }
    case 'clock': {
      const by = milliseconds(stream.pick([-3_000, -500, 400, 5_000, 30_000, 300_000]));
      world.stepClock(stream.chance(0.4) ? 'server' : client, by);
      return `a clock steps by ${by / 1e6} ms`;
    }
    case 'corrupt':
      return corrupt(client, stream, world);
    case 'crash':
      world.crash(stream);
      return 'the authority ends and starts again';
    case 'disk':
      return world.failDisk(stream) ? 'the disk takes nothing any more' : 'nothing: there is no disk';
  }
}

function corrupt(client: ClientNode, stream: Stream, world: FaultTarget): string {
  const { state, model } = client;
  // The recording tells what a copy held when the first difference was found; it cannot know of a second.
  if (model.isTainted) return 'nothing: it is corrupt already';
  const entries = [...state.committed.entries()];
  if (entries.length === 0) return 'nothing to corrupt';
  const changes: Change[] = [];
  for (let count = stream.int(1, 4); count > 0; count--) {
    const [key, record] = stream.pick(entries);
    const added = recordKey(`ghost/${stream.int(0, 9)}`);
    switch (stream.pick(['patch', 'remove', 'add', 'field'] as const)) {
      case 'patch':
        for (const name of Object.keys(record).slice(0, 1)) {
          changes.push({ op: 'patch', key, fields: { [name]: stream.int(100, 999) }, removed: [] });
        }
        break;
      case 'remove':
        changes.push({ op: 'remove', key });
        entries.splice(
          entries.findIndex(([one]) => one === key),
          1,
        );
        break;
      case 'add':
        changes.push({ op: 'put', key: added, record: { boo: stream.int(0, 9) } });
        break;
      case 'field':
        changes.push({ op: 'patch', key, fields: { ghost: safeValue(stream) }, removed: [] });
        break;
    }
    if (entries.length === 0) break;
  }
  const kept = changes.filter(
    (change, at) =>
      change.op !== 'patch' || !changes.slice(0, at).some((one) => one.op === 'remove' && one.key === change.key),
  );
  world.corrupt(client, kept);
  model.corrupted();
  return `changes ${kept.map(({ key }) => key).join(', ')} behind the protocol's back`;
}

function safeValue(stream: Stream): string | number {
  const value = drawValue(stream);
  return typeof value === 'number' ? value : stream.int(0, 9);
}
