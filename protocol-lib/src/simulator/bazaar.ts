import { type Change, type RecordKey, recordKey, type SyncRecord, type Value } from '../state/index.ts';
import type { CommandOutcome, DomainEvent, SessionDefinition, SessionView, StateView } from '../sync/index.ts';
import { isSendable, type SmallState } from './small-fold.ts';

/**
 * The session that is simulated: people with tokens and bags, things that one of them holds, a marker whose fields belong
 * together, and notes that may hold any value. Every command carries the number of its operation in `op`, which the event tells,
 * so that what took effect can be counted from outside.
 */
export interface BazaarSize {
  readonly people: readonly string[];
  readonly things: number;
  readonly notes: number;
}

const START_TOKENS = 10;
const POT_TOKENS = 50;

type Args = Readonly<Record<string, Value>>;

export function bazaar(size: BazaarSize, hasViews = false): SessionDefinition {
  return {
    ...(hasViews ? { view: (_state, replica) => viewOfPerson(replica) } : {}),
    name: 'bazaar',
    *initialRecords() {
      for (const person of size.people) {
        yield [recordKey(`account/${person}`), { tokens: START_TOKENS }];
        yield [recordKey(`bag/${person}`), { things: [] }];
      }
      yield [recordKey('pot/main'), { tokens: POT_TOKENS }];
      for (let index = 0; index < size.things; index++) yield [recordKey(`thing/${index}`), { holder: null, moves: 0 }];
      yield [recordKey('marker/main'), { x: 0, y: 0, sum: 0, by: 'nobody' }];
    },
    commands: {
      /** `{thing}`: refused where somebody holds it. */
      take(state, args, writer) {
        const { op, thing } = args as Args;
        const record = state.get(recordKey(`thing/${thing}`));
        if (!record) return refused('no such thing');
        if (record.holder !== null) return refused(`held by ${record.holder}`);
        return happened('TAKEN', writer, op, { thing: thing!, writer });
      },
      /** `{thing}`: refused where the writer does not hold it. */
      drop(state, args, writer) {
        const { op, thing } = args as Args;
        if (state.get(recordKey(`thing/${thing}`))?.holder !== writer) return refused('not yours');
        return happened('DROPPED', writer, op, { thing: thing!, writer });
      },
      /** `{thing, to}`: two events, of which the second is reduced on what the first made. */
      give(state, args, writer) {
        const { op, thing, to } = args as Args;
        if (state.get(recordKey(`thing/${thing}`))?.holder !== writer) return refused('not yours');
        if (!state.get(recordKey(`bag/${to}`))) return refused('nobody there');
        return {
          accepted: true,
          events: [
            event('DROPPED', writer, op, { thing: thing!, writer }),
            event('TAKEN', writer, op, { thing: thing!, writer: to! }),
          ],
        };
      },
      /** `{to, amount}`: refused where the writer has less. */
      pay(state, args, writer) {
        const { op, to, amount } = args as Args;
        const own = tokensOf(state.get(recordKey(`account/${writer}`)));
        if (own === undefined || typeof amount !== 'number' || own < amount) return refused('not enough');
        if (!state.get(recordKey(`account/${to}`))) return refused('nobody there');
        return happened('PAID', writer, op, { from: `account/${writer}`, to: `account/${to}`, amount });
      },
      /** `{to}`: the authority's own: a token from the pot. */
      rain(state, args, writer) {
        const { op, to } = args as Args;
        if (writer !== AUTHORITY) return refused('only the authority');
        if ((tokensOf(state.get(recordKey('pot/main'))) ?? 0) < 1) return refused('the pot is empty');
        return happened('PAID', writer, op, { from: 'pot/main', to: `account/${to}`, amount: 1 });
      },
      /** `{thing}`: the authority's own: takes a thing away from whoever holds it. */
      seize(state, args, writer) {
        const { op, thing } = args as Args;
        const holder = state.get(recordKey(`thing/${thing}`))?.holder;
        if (writer !== AUTHORITY || typeof holder !== 'string') return refused('nothing to seize');
        return happened('DROPPED', writer, op, { thing: thing!, writer: holder });
      },
      /** `{x, y}`: fields that belong together. */
      move(_state, args, writer) {
        const { op, x, y } = args as Args;
        return happened('MOVED', writer, op, { x: x!, y: y!, sum: Number(x) + Number(y), by: writer });
      },
      /** `{id, fields}`: a record under a new key, of any fields. */
      note(_state, args, writer) {
        const { op, id, fields } = args as Args;
        return happened('NOTED', writer, op, { id: id!, fields: fields! });
      },
      /** `{id, fields, removed}`: sets some fields of a note and takes others away. */
      edit(state, args, writer) {
        const { op, id, fields, removed } = args as Args;
        if (!state.get(recordKey(`note/${id}`))) return refused('no such note');
        return happened('EDITED', writer, op, { id: id!, fields: fields!, removed: removed! });
      },
      /** `{id}` */
      erase(state, args, writer) {
        const { op, id } = args as Args;
        if (!state.get(recordKey(`note/${id}`))) return refused('no such note');
        return happened('ERASED', writer, op, { id: id! });
      },
      /** Accepted, and changes nothing. */
      wave: (_state, args, writer) => happened('WAVED', writer, (args as Args).op, {}),
      explode() {
        throw boom;
      },
    },
    reduce,
  };
}

/** Where a session has views, nobody sees what is another's: accounts, bags, and things that another holds. */
export function isVisible(replica: string, key: string, record: SyncRecord): boolean {
  if (key.startsWith('thing/')) return record.holder === null || record.holder === replica;
  return !hasOwner(key) || key.endsWith(`/${replica}`);
}

/** Whether the key itself is not to be told to others. */
export function hasOwner(key: string): boolean {
  return key.startsWith('account/') || key.startsWith('bag/');
}

function viewOfPerson(replica: string): SessionView {
  return { id: `of ${replica}`, sees: (key, record) => isVisible(replica, key, record) };
}

/** Made once: what an error costs is its stack. */
const boom = new Error('boom');

export const AUTHORITY = 'server';

/** The `op` that an event of this session tells; undefined where it is none. */
export function operationOf(detail: string): string | undefined {
  return /^#(\S+)/.exec(detail)?.[1];
}

function reduce(state: StateView, { type, data }: DomainEvent): readonly Change[] {
  const args = data as Args;
  switch (type) {
    case 'TAKEN': {
      const thing = recordKey(`thing/${args.thing}`);
      const bag = recordKey(`bag/${args.writer}`);
      const things = [...((state.get(bag)?.things ?? []) as readonly Value[]), args.thing!];
      return [
        patch(thing, { holder: args.writer!, moves: Number(state.get(thing)?.moves ?? 0) + 1 }),
        patch(bag, { things }),
      ];
    }
    case 'DROPPED': {
      const bag = recordKey(`bag/${args.writer}`);
      const things = ((state.get(bag)?.things ?? []) as readonly Value[]).filter((one) => one !== args.thing);
      return [patch(recordKey(`thing/${args.thing}`), { holder: null }), patch(bag, { things })];
    }
    case 'PAID': {
      const [from, to] = [recordKey(String(args.from)), recordKey(String(args.to))];
      if (from === to) return [];
      const amount = Number(args.amount);
      return [
        patch(from, { tokens: (tokensOf(state.get(from)) ?? 0) - amount }),
        patch(to, { tokens: (tokensOf(state.get(to)) ?? 0) + amount }),
      ];
    }
    case 'MOVED':
      return [patch(recordKey('marker/main'), { x: args.x!, y: args.y!, sum: args.sum!, by: args.by! })];
    case 'NOTED':
      return [{ op: 'put', key: recordKey(`note/${args.id}`), record: args.fields as SyncRecord }];
    case 'EDITED':
      return [
        {
          op: 'patch',
          key: recordKey(`note/${args.id}`),
          fields: args.fields as SyncRecord,
          removed: args.removed as readonly string[],
        },
      ];
    case 'ERASED':
      return [{ op: 'remove', key: recordKey(`note/${args.id}`) }];
    default:
      return [];
  }
}

function patch(key: RecordKey, fields: SyncRecord): Change {
  return { op: 'patch', key, fields, removed: [] };
}

function tokensOf(record: SyncRecord | undefined): number | undefined {
  const tokens = record?.tokens;
  return typeof tokens === 'number' ? tokens : undefined;
}

function refused(reason: string): CommandOutcome {
  return { accepted: false, reason };
}

function event(type: string, player: string, op: Value | undefined, data: Args): DomainEvent {
  return { type, player, detail: `#${op} ${type}`, data };
}

function happened(type: string, player: string, op: Value | undefined, data: Args): CommandOutcome {
  return { accepted: true, events: [event(type, player, op, data)] };
}

/** The rules that every committed state keeps, and every optimistic one: what is broken, or undefined. */
export function brokenRule(state: SmallState, size: BazaarSize): string | undefined {
  let tokens = tokensOf(state.get('pot/main')) ?? 0;
  for (const person of size.people) {
    const own = tokensOf(state.get(`account/${person}`));
    if (own === undefined || own < 0 || !Number.isSafeInteger(own)) return `${person} has ${own} tokens`;
    tokens += own;
  }
  const all = POT_TOKENS + START_TOKENS * size.people.length;
  if (tokens !== all) return `there are ${tokens} tokens instead of ${all}`;
  const held = new Map<Value, string>();
  for (const person of size.people) {
    for (const thing of (state.get(`bag/${person}`)?.things ?? []) as readonly Value[]) {
      if (held.has(thing)) return `thing ${thing} is in the bags of ${held.get(thing)} and ${person}`;
      held.set(thing, person);
    }
  }
  for (let index = 0; index < size.things; index++) {
    const holder = state.get(`thing/${index}`)?.holder ?? null;
    if (holder !== (held.get(index) ?? null))
      return `thing ${index} is held by ${holder}, and in the bag of ${held.get(index)}`;
  }
  const marker = state.get('marker/main');
  if (!marker || Number(marker.x) + Number(marker.y) !== marker.sum)
    return 'the fields of the marker do not belong together';
  return undefined;
}

/** A view of a small state, as commands and reducers take it. */
export function viewOf(state: SmallState): StateView {
  return {
    get: (key) => state.get(key),
    *entries(prefix) {
      for (const [key, record] of state) if (key.startsWith(prefix)) yield [key as RecordKey, record];
    },
  };
}

/** What a command does to a state, worked out step by step; nothing where it is refused or fails. */
export function changesOf(
  definition: SessionDefinition,
  state: SmallState,
  command: string,
  args: Value,
  writer: string,
  fold: (state: Map<string, SyncRecord>, change: Change) => void,
): Map<string, SyncRecord> | undefined {
  const handler = Object.hasOwn(definition.commands, command) ? definition.commands[command] : undefined;
  try {
    const outcome = handler?.(viewOf(state), args, writer as Parameters<NonNullable<typeof handler>>[2]);
    if (!outcome?.accepted) return undefined;
    const after = new Map(state);
    for (const one of outcome.events) {
      for (const change of definition.reduce(viewOf(after), one)) {
        if (change.op !== 'remove' && !isSendable(change.op === 'put' ? change.record : change.fields))
          return undefined;
        fold(after, change);
      }
    }
    return after;
  } catch {
    return undefined;
  }
}
