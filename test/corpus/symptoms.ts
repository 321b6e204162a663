import { StateRoot } from '@syncscope/protocol/merkle';
import type { TraceBodyOf, TraceHeader, TraceRecord } from '@syncscope/protocol/trace';

/** What is known of a replica from its own records alone. */
interface Fold {
  version: number;
  root: StateRoot | undefined;
  /** The last root that it told. */
  told: string | undefined;
}

/**
 * Whether some record says by itself that two differ, or that one is not what its records give, read in the plainest way: a diagnosis that then finds
 * nothing is wrong. Answers a line for each such record.
 */
export function symptomsIn({ authority }: TraceHeader, records: readonly TraceRecord[]): string[] {
  const folds = new Map<string, Fold>();
  const symptoms: string[] = [];
  /** Roots by vector, where there is no authority. */
  const roots = new Map<string, Map<string, string>>();
  records.forEach(({ replica, body }, at) => {
    const fold = folds.get(replica) ?? { version: 0, root: undefined, told: undefined };
    folds.set(replica, fold);
    const found = (what: string): void => void symptoms.push(`record ${at} of ${replica}: ${what}`);
    switch (body.kind) {
      case 'gap':
        for (const one of folds.values()) Object.assign(one, { root: undefined, told: undefined });
        return;
      case 'mismatch':
        if (body.reason !== 'base') found(`mismatch by ${body.reason}`);
        return;
      case 'hash':
        if (body.agrees === false) found('a hash that differs');
        return;
      case 'divergence':
        if (body.differences.length > 0) found('a divergence');
        return;
      case 'commit':
        if (!step(fold, body.version - 1, body.version, body)) found('changes that do not lead to their root');
        return;
      case 'apply':
        if (!step(fold, body.from, body.to, body)) found('changes that do not lead to their root');
        return;
      case 'snapshot':
        if (body.reason !== 'mismatch') Object.assign(fold, stateOf(body));
        return;
      case 'repair':
        Object.assign(fold, { root: undefined, told: body.root, version: body.version });
        return;
      case 'vector': {
        const name = JSON.stringify(body.vector.filter(({ counter }) => counter > 0));
        const told = roots.get(name) ?? new Map<string, string>();
        if (authority !== null || fold.told === undefined) return;
        if ([...told].some(([other, root]) => other !== replica && root !== fold.told))
          found('another root of one vector');
        roots.set(name, told.set(replica, fold.told));
        return;
      }
      default:
    }
  });
  return symptoms;
}

function stateOf({ version, root, records }: TraceBodyOf<'snapshot'>): Fold {
  return { version, told: root, root: StateRoot.from(records.map(({ key, record }) => [key, record] as const)) };
}

/** Follows a change; false where it leads elsewhere than it says. */
function step(
  fold: Fold,
  from: number,
  to: number,
  { changes, root: told }: Pick<TraceBodyOf<'commit'>, 'changes' | 'root'>,
) {
  const base = fold.version === from ? fold.root : undefined;
  let root: StateRoot | undefined;
  try {
    root = base?.apply(changes);
  } catch {
    root = undefined;
  }
  const isRight = base === undefined || told === undefined || root?.hash === told;
  Object.assign(fold, { version: to, told, root: isRight ? root : undefined });
  return isRight;
}
