import { type Convergence, converge as convergeCapture } from '@syncscope/protocol/replay';
import { withCapture } from '../capture-file.ts';
import { printDocument } from '../json.ts';
import { count, escapeText, facts } from '../print.ts';
import { progress } from '../replay-thread.ts';

export interface ConvergeCommandOptions {
  readonly orders?: number;
  readonly seed?: number;
  readonly json?: boolean;
}

/** `converge`: runs the mutations of a capture in many orders. Answers the exit code: 0 one state, 1 the order matters. */
export async function converge(file: string, { orders, seed, json }: ConvergeCommandOptions): Promise<number> {
  const onProgress = progress();
  const options = {
    ...(orders === undefined ? {} : { orders }),
    ...(seed === undefined ? {} : { seed }),
    ...(onProgress ? { onProgress } : {}),
  };
  const result = await withCapture(file, (capture) => convergeCapture(capture, options));
  if (json) printDocument('converge', { file, ...result });
  else console.log(describe(file, result));
  return result.status === 'converges' ? 0 : 1;
}

function describe(file: string, { status, operations, orders, root, conflict }: Convergence): string {
  const ran = `${count(operations, 'operation')} in ${count(orders, 'order')}`;
  if (status === 'converges') return escapeText(`${file}: ${ran} come to one root, ${root}`);
  const head = escapeText(`${file}: ${ran}: the order matters`);
  if (!conflict) return head;
  const { first, second, roots, before } = conflict;
  const name = ({ event, mutation, seq }: typeof first): string =>
    `${event} of ${mutation.writer}:${mutation.counter} (record ${seq})`;
  const pairs = facts([
    ['first', name(first)],
    ['second', name(second)],
    ['first, second', roots[0] ?? 'does not fit'],
    ['second, first', roots[1] ?? 'does not fit'],
    ['behind', before.join(', ') || 'the first state'],
  ]);
  return `${head}\n\n${pairs}`;
}
