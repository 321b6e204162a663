export { MerkleDescent, type MerkleDifference } from './descent.ts';
export { changesBetween, diffRoots, type RecordChange } from './diff.ts';
export { fieldsBetween } from './fields.ts';
export { EMPTY_HASH, recordHash, StateMerkleTree, StateRoot } from './roots.ts';
export {
  diffTree,
  type FieldDifference,
  type MerkleLeaf,
  type MerkleNode,
  type RecordDifference,
  recordDifference,
  type TreeDiff,
} from './tree-diff.ts';
export { patched, sameRecord, sameValue } from './values.ts';
export {
  answerMerkleQuery,
  type MerkleAnswer,
  type MerkleNodeAnswer,
  type MerklePath,
  type MerkleQuery,
  merkleAnswerSchema,
  merkleQuerySchema,
  QUERY_MAX_PATHS,
} from './wire.ts';
