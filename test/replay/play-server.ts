import { SCENARIOS, type ServerOptions, startServer } from '@syncscope/sample-server';

/** A server of the adventure as a program of its own: `node play-server.ts OPTIONS [CHANGE]`. Prints where it is. */

/** What another build of the rules could have otherwise. */
const CHANGES = ['tiring', 'strict'] as const;
type RuleChange = (typeof CHANGES)[number];

const [options = '{}', change] = process.argv.slice(2);
const { adventure } = SCENARIOS;
if (!adventure) throw new Error('there is no adventure');
const { definition } = adventure;
const changed: Readonly<Record<RuleChange, typeof definition>> = {
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
};
const known = CHANGES.find((one) => one === change);
if (known) Object.assign(SCENARIOS, { adventure: { ...adventure, definition: changed[known] } });

const { url, token, inspect } = await startServer(JSON.parse(options) as ServerOptions);
process.stdout.write(`${JSON.stringify({ url, token, inspect: inspect.url, inspectToken: inspect.token })}\n`);
