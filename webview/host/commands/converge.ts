import type { Conflict, Convergence, ConvergenceKind, NamedOperation } from '@syncscope/protocol/replay';
import { short } from '../difference.ts';
import { printDocument } from '../json.ts';
import { count, escapeText, facts } from '../print.ts';
import { type DefinitionOptions, replayJob } from '../replay-thread.ts';

export interface ConvergeCommandOptions extends DefinitionOptions {
  readonly orders?: number;
  readonly seed?: number;
  readonly kind?: ConvergenceKind;
  readonly json?: boolean;
}

export const CONVERGENCE_KINDS: readonly ConvergenceKind[] = ['operations', 'mutations', 'changes'];

/** `converge`: runs the operations of a capture in many orders. Answers the exit code: 0 one state, 1 the order matters. */
export async function converge(file: string, options: ConvergeCommandOptions): Promise<number> {
  const { orders, seed, kind: of, json } = options;
  const drawn = { ...(orders === undefined ? {} : { orders }), ...(seed === undefined ? {} : { seed }) };
  const answer = await replayJob({ kind: 'converge', file, ...drawn, ...(of ? { of } : {}) }, options);
  if (answer.kind !== 'converge') throw new TypeError('orders were asked for');
  const { result } = answer;
  if (json) printDocument('converge', { file, ...result });
  else console.log(describe(file, result));
  return result.status === 'converges' ? 0 : 1;
}

const WHAT = { changes: 'mutation', operations: 'operation', mutations: 'mutation' } as const;

function describe(file: string, { status, kind, operations, orders, isEvery, root, conflict }: Convergence): string {
  const those = orders === 1 ? 'the only order' : `all ${count(orders, 'order')}`;
  const ran = `${count(operations, WHAT[kind])} in ${isEvery ? `${those} that causes allow` : count(orders, 'order')}`;
  if (status === 'converges')
    return escapeText(`${file}: ${ran} ${operations === 1 ? 'comes' : 'come'} to one root, ${root}`);
  const head = escapeText(`${file}: ${ran}: the order matters`);
  return conflict ? `${head}\n\n${conflictText(conflict)}` : head;
}

function conflictText({ first, second, roots, orders, differences }: Conflict): string {
  const name = ({ event, mutation, seq }: NamedOperation): string =>
    `${event} of ${mutation.writer}:${mutation.counter} (record ${seq})`;
  const pair = facts([
    ['first', name(first)],
    ['second', name(second)],
    ['one order', orders[0].join(', ')],
    ['comes to', roots[0] ?? 'does not fit'],
    ['the other', orders[1].join(', ')],
    ['comes to', roots[1] ?? 'does not fit'],
  ]);
  const values = differences.map(({ key, values: [one, two] }) => [key, `${short(one)}  |  ${short(two)}`] as const);
  return values.length > 0 ? `${pair}\n\n${facts(values)}` : pair;
}
