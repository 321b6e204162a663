export { changesBetween, diffRoots, fieldsBetween, type RecordChange } from './diff.ts';
export { EMPTY_HASH, StateMerkleTree, StateRoot } from './roots.ts';
export { patched, sameRecord, sameValue } from './values.ts';
