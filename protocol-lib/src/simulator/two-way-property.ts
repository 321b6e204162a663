import {
  applyToState,
  checkHierarchy,
  defineModel,
  ModelSet,
  modelKey,
  PARENT,
  planTwoWay,
} from '../diffsync/index.ts';
import { StateMerkleTree, StateRoot } from '../merkle/index.ts';
import { uint } from '../schema/index.ts';
import { Stream } from './choices.ts';

const part = defineModel({
  type: 'part',
  identifiers: { id: uint },
  attributes: { size: uint, shade: uint },
  under: ['part', null],
});
const models = new ModelSet([part]);
const PARTS = 6;

/**
 * A property that no simulation can see, since its replicas never merge models: after a sync in both directions both sides are the same
 * hierarchy, and what only one side changed is there. Answers what is wrong, for people; undefined where all is right.
 */
export function findUnmergedSides(seed: number): string | undefined {
  const stream = Stream.of(seed, 'two-way');
  const base = changed(StateRoot.empty, stream);
  const [source, destination] = [changed(base, stream), changed(base, stream)];
  const plan = planTwoWay(base, source, destination, { models, strategies: { default: 'source' } });
  const left = applyToState(plan.source, source);
  const right = applyToState(plan.destination, destination);
  if (left.hash !== right.hash) return `the sides are ${left.hash} and ${right.hash} after a sync in both directions`;
  checkHierarchy(models, left);
  const alone = planTwoWay(base, source, base, { models, strategies: { default: 'fail' } });
  const kept = applyToState(alone.source, source);
  return kept.hash === source.hash ? undefined : 'what only one side had changed is lost';
}

/** Some parts put, changed or taken away; a part stands below one of a lower number, so that no cycle arises on one side. */
function changed(root: StateRoot, stream: Stream): StateRoot {
  const tree = new StateMerkleTree(root);
  for (let step = 0; step < 4; step++) {
    const id = Math.floor(stream.next() * PARTS);
    const key = modelKey(part, { id });
    const hasChildren = [...tree.entries()].some(([, record]) => record[PARENT] === key);
    if (stream.next() < 0.25 && !hasChildren) {
      tree.remove(key);
      continue;
    }
    const above = modelKey(part, { id: Math.floor(stream.next() * PARTS) });
    const [size, shade] = [Math.floor(stream.next() * 3), Math.floor(stream.next() * 3)];
    tree.put(key, { id, size, shade, ...(above < key && tree.has(above) ? { [PARENT]: above } : {}) });
  }
  return tree.root();
}
