import { recordKey, type SyncRecord, type Value } from '@syncscope/protocol/state';
import type { SessionDefinition, StateView } from '@syncscope/protocol/sync';

const ROOMS = 3;
const ITEMS = 24;

type Reduce = SessionDefinition['reduce'];

/** A market of counted and priced things in rooms: large integers, fractions, records that come and go, and moves out of sight. */
export function market(options: { readonly hasViews?: boolean; readonly reduce?: Reduce } = {}): SessionDefinition {
  const base: SessionDefinition = {
    name: 'market',
    *initialRecords() {
      for (let at = 0; at < ITEMS; at++)
        yield [recordKey(`item/${at}`), { stock: at, price: 0, room: at % ROOMS, seen: 0 }];
      for (let at = 1; at <= 3; at++) yield [recordKey(`player/bot-${at}`), { room: at % ROOMS }];
    },
    commands: {
      stock: (state, args, writer) => accept(state, 'STOCKED', args, writer),
      price: (state, args, writer) => accept(state, 'PRICED', args, writer),
      touch: (state, args, writer) => accept(state, 'TOUCHED', args, writer),
      move: (state, args, writer) => accept(state, 'MOVED', args, writer),
      label: (_state, args, writer) => ({
        accepted: true,
        events: [{ type: 'LABELLED', player: writer, detail: '', data: args }],
      }),
    },
    reduce: options.reduce ?? marketReducer,
  };
  return options.hasViews ? { ...base, view } : base;
}

function accept(state: StateView, type: string, args: Value, writer: string) {
  const { key } = args as { readonly key: string };
  return state.get(recordKey(key))
    ? { accepted: true as const, events: [{ type, player: writer, detail: key, data: args }] }
    : { accepted: false as const, reason: 'there is none' };
}

export const marketReducer: Reduce = (_state, event) => {
  const { key, ...fields } = event.data as SyncRecord & { readonly key: string };
  if (event.type === 'LABELLED') return [{ op: 'put', key: recordKey(key), record: fields }];
  return [{ op: 'patch', key: recordKey(key), fields, removed: [] }];
};

const view: NonNullable<SessionDefinition['view']> = (state, replica) => {
  const room = state.get(recordKey(`player/${replica}`))?.room ?? 0;
  return { id: String(room), sees: (_key, record) => record.room === room };
};

/** What a bot does next: numbers that need all of their bits. */
export function nextIntent(draw: () => number): { readonly command: string; readonly args: Value } {
  const dice = draw();
  const key = `item/${Math.floor(draw() * ITEMS)}`;
  const room = Math.floor(draw() * ROOMS);
  if (dice < 0.35) return { command: 'stock', args: { key, stock: 100_000 + Math.floor(draw() * 4_000_000_000) } };
  if (dice < 0.6) return { command: 'price', args: { key, price: Math.floor(draw() * 10_000) + draw() } };
  if (dice < 0.75) return { command: 'touch', args: { key, seen: Math.floor(draw() * 1_000) } };
  if (dice < 0.9) return { command: 'move', args: { key, room } };
  return {
    command: 'label',
    args: { key: `label/${Math.floor(draw() * 6)}`, room, text: `label ${Math.floor(draw() * 1e6)}` },
  };
}
