export {
  type Adapter,
  type CancelSignal,
  type LoadOptions,
  loadModels,
  loadSide,
  type ModelUpdate,
  refuseModel,
  type Side,
} from './adapter.ts';
export { applyDiff, applyToState } from './apply.ts';
export { type Component, type ComponentReport, type ConfigurationOptions, syncConfiguration } from './configuration.ts';
export {
  countDiff,
  countLevels,
  type Diff,
  type DiffAction,
  type DiffCounts,
  type DiffEntry,
  diffChanges,
  diffModels,
  hasChanges,
  invertDiff,
  isMove,
} from './diff.ts';
export { DIFF_FORMAT, diffFromJson, diffToJson } from './diff-json.ts';
export {
  DiffSync,
  type DiffSyncOptions,
  historyOf,
  lastCommon,
  linkedVersions,
  type OneWayReport,
  type SyncOptions,
  type TwoWayOptions,
  type TwoWayReport,
  type VersionPair,
} from './diff-sync.ts';
export { type DiffNode, diffText, treeOf } from './diff-tree.ts';
export { EventSync, type EventSyncOptions } from './event-sync.ts';
export { checkHierarchy } from './hierarchy.ts';
export {
  MemoryStore,
  type PrunedVersions,
  type StoreContents,
  type StoreKeeper,
  type StoreOptions,
} from './memory-store.ts';
export { commonState, type MergeOptions, planTwoWay, type TwoWayPlan } from './merge.ts';
export {
  type FieldRule,
  type Migrated,
  MigratingAdapter,
  type Migration,
  type MigrationDirection,
  migrate,
  migratedSide,
  type TypeMigration,
  type Uncarried,
} from './migration.ts';
export {
  type DiffModel,
  defineModel,
  diffModel,
  type ModelDeclaration,
  ModelSet,
  type ModelType,
  modelKey,
  PARENT,
  parentOf,
  recordOf,
} from './model.ts';
export type { ModelWriters, PolicyStrategies } from './policies.ts';
export { type Projection, type ProjectionRefusal, project, unproject } from './projection.ts';
export {
  type ModelAnswer,
  ModelClient,
  type ModelClientOptions,
  type ModelRequest,
  ModelServer,
  type ModelServerOptions,
  type ModelStep,
} from './remote.ts';
export {
  type ApplyOptions,
  reportText,
  type SyncFlags,
  type SyncOutcome,
  type SyncProgress,
  type SyncReport,
  type SyncStatus,
  type SyncStatusCode,
} from './report.ts';
export {
  commonBranch,
  MAIN,
  newestOf,
  type Store,
  type StoreListener,
  type StoreVersion,
  storeVersionSchema,
  type VersionDraft,
  type VersionLink,
  versionLinkSchema,
} from './store.ts';
export { type StoreContractTest, type StoreUnderTest, storeContract } from './store-contract.ts';
export type {
  ConflictDecision,
  ConflictStrategies,
  ConflictStrategy,
  DecidedConflict,
  ModelConflict,
} from './strategy.ts';
