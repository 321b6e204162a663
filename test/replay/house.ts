import { randomUUID } from 'node:crypto';
import { object, string } from '@syncscope/protocol/schema';
import { recordKey } from '@syncscope/protocol/state';
import type { SessionDefinition } from '@syncscope/protocol/sync';
import { type RunningServer, SCENARIOS, type ServerOptions, startServer } from '@syncscope/sample-server';

/** Servers of the adventure, also such as another build of it could be. */

/** What that could have otherwise. */
const CHANGES = ['tiring', 'strict', 'ticketed'] as const;
export type RuleChange = (typeof CHANGES)[number];

const ticketSchema = object({ ticket: string(100) });

const changed = (definition: SessionDefinition): Readonly<Record<RuleChange, SessionDefinition>> => ({
  /** A step costs more than it did. */
  tiring: {
    ...definition,
    reduce: (state, event) =>
      definition.reduce(state, event).map((one) => {
        if (event.type !== 'PLAYER_MOVED' || one.op !== 'patch' || typeof one.fields.energy !== 'number') return one;
        return { ...one, fields: { ...one.fields, energy: one.fields.energy - 1 } };
      }),
  },
  /** Nobody may move. */
  strict: {
    ...definition,
    commands: { ...definition.commands, move: () => ({ accepted: false, reason: 'the house is closed' }) },
  },
  /** Who comes in is given a ticket with a number that is drawn, and may have it stamped. */
  ticketed: {
    ...definition,
    commands: {
      ...definition.commands,
      join: (state, args, writer) => {
        const outcome = definition.commands.join?.(state, args, writer) ?? { accepted: false, reason: 'closed' };
        if (!outcome.accepted) return outcome;
        const given = { type: 'TICKET_GIVEN', player: writer, detail: '', data: { ticket: randomUUID() } };
        return { accepted: true, events: [...outcome.events, given] };
      },
      stamp: (state, args, writer) => {
        const { ticket } = ticketSchema.parse(args, 'stamp');
        const found = state.get(recordKey(`ticket/${ticket}`));
        if (!found) return { accepted: false, reason: 'there is no such ticket' };
        if (found.isStamped) return { accepted: false, reason: `ticket ${ticket} is stamped` };
        return { accepted: true, events: [{ type: 'STAMPED', player: writer, detail: '', data: { ticket } }] };
      },
    },
    reduce: (state, event) => {
      if (event.type !== 'TICKET_GIVEN' && event.type !== 'STAMPED') return definition.reduce(state, event);
      const { ticket } = ticketSchema.parse(event.data, 'ticket');
      const key = recordKey(`ticket/${ticket}`);
      if (event.type === 'STAMPED') return [{ op: 'patch', key, fields: { isStamped: true }, removed: [] }];
      return [{ op: 'put', key, record: { of: event.player, isStamped: false } }];
    },
  },
});

/** Starts a server whose rules are changed, or as they are. */
export function startHouse(options: ServerOptions, change?: RuleChange): Promise<RunningServer> {
  const { adventure } = SCENARIOS;
  if (!adventure) throw new Error('there is no adventure');
  if (!change) return startServer(options);
  const { definition, byInterest } = adventure;
  const changes = byInterest ? { byInterest: changed(byInterest)[change] } : {};
  Object.assign(SCENARIOS, { adventure: { ...adventure, ...changes, definition: changed(definition)[change] } });
  try {
    // Which scenario it plays it has looked up before it waits for anything.
    return startServer(options);
  } finally {
    Object.assign(SCENARIOS, { adventure });
  }
}
