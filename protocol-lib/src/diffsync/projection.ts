import { SyncError } from '../errors/index.ts';
import { StateMerkleTree, StateRoot } from '../merkle/index.ts';
import type { RecordKey, SyncRecord, Value } from '../state/index.ts';
import { type Diff, diffChanges, diffModels } from './diff.ts';
import { checkHierarchy } from './hierarchy.ts';
import { type ModelSet, PARENT, parentOf, typeName } from './model.ts';

/** A part of a state of models, as somebody else is to see it. */
export interface Projection {
  readonly models: ModelSet;
  /** Of each type that is shown, the attributes that are: all, or these. */
  readonly types: Readonly<Record<string, 'all' | readonly string[]>>;
  /** Which models of these types are shown; all unless given. Must depend on nothing but its arguments. */
  readonly isShown?: (key: RecordKey, record: SyncRecord) => boolean;
  /** What a model gets that is created in the projection, for attributes that are not shown. By type. */
  readonly defaults?: Readonly<Record<string, SyncRecord>>;
}

/** A change of the projection that has no place in the original. */
export interface ProjectionRefusal {
  readonly key: RecordKey;
  readonly code: 'PROJECTION_HIDDEN' | 'PROJECTION_LEAVES' | 'PROJECTION_MISSING' | 'MODEL_INVALID';
  readonly reason: string;
}

/** The projection of a state. A model whose parent is not shown stands at the top. */
export function project(projection: Projection, original: StateRoot): StateRoot {
  const tree = new StateMerkleTree(new StateRoot(null, original.hasher));
  for (const [key, record] of original.entries()) {
    const shown = projectRecord(projection, original, key, record);
    if (shown !== undefined) tree.put(key, shown);
  }
  return tree.root();
}

function projectRecord(
  projection: Projection,
  original: Pick<StateRoot, 'get'>,
  key: RecordKey,
  record: SyncRecord,
): SyncRecord | undefined {
  const attributes = shownAttributes(projection, key);
  if (attributes === undefined || projection.isShown?.(key, record) === false) return undefined;
  const identifiers = projection.models.typeOf(key).identifiers.fields.map(([name]) => name);
  const shown: Record<string, Value> = {};
  for (const name of Object.keys(record)) {
    if (name === PARENT) continue;
    if (attributes === 'all' || attributes.includes(name) || identifiers.includes(name)) shown[name] = record[name]!;
  }
  const parent = parentOf(record);
  const above = parent === null ? undefined : original.get(parent);
  if (parent !== null && above !== undefined && isShownIn(projection, parent, above)) shown[PARENT] = parent;
  return shown;
}

function shownAttributes({ types }: Projection, key: RecordKey): 'all' | readonly string[] | undefined {
  const type = typeName(key);
  return Object.hasOwn(types, type) ? types[type] : undefined;
}

function isShownIn(projection: Projection, key: RecordKey, record: SyncRecord): boolean {
  return shownAttributes(projection, key) !== undefined && projection.isShown?.(key, record) !== false;
}

/**
 * Carries the changes of a projection back: a changed attribute changes that attribute only, and what is not shown stays. `diff` leads from the
 * projection of `original` to what somebody made of it.
 * All changes, or none where any of them has no place in the original: one that touches what is not shown, that takes a model out of the
 * projection, or that would delete hidden models below a shown one.
 * @throws SyncError `PROJECTION_STALE` where the diff is not from the projection of this original
 */
export function unproject(
  projection: Projection,
  original: StateRoot,
  diff: Diff,
): { readonly root: StateRoot; readonly diff: Diff; readonly refused: readonly ProjectionRefusal[] } {
  const before = project(projection, original);
  if (before.hash !== diff.from) {
    throw new SyncError(
      'PROJECTION_STALE',
      `the changes are made to the projection ${diff.from}, but it is ${before.hash}; project anew`,
      { origin: 'state', retry: 'now' },
    );
  }
  const tree = new StateMerkleTree(original);
  const refused: ProjectionRefusal[] = [];
  for (const change of diffChanges(diff)) {
    if (change.op === 'remove') {
      tree.remove(change.key);
      continue;
    }
    const fields = change.op === 'put' ? change.record : change.fields;
    const names = [...Object.keys(fields), ...(change.op === 'patch' ? change.removed : [])];
    const refusal = checkShown(projection, original, change.key, names, change.op === 'put');
    if (refusal !== undefined) refused.push(refusal);
    else if (change.op === 'patch') tree.patch(change.key, fields, change.removed);
    else tree.put(change.key, { ...defaultsOf(projection, change.key), ...fields });
  }
  const root = tree.root();
  if (refused.length === 0) refused.push(...checkResult(projection, root, before, diff));
  return refused.length > 0
    ? { root: original, diff: diffModels(original, original), refused }
    : { root, diff: diffModels(original, root), refused };
}

function defaultsOf({ defaults = {} }: Projection, key: RecordKey): SyncRecord {
  const type = typeName(key);
  return Object.hasOwn(defaults, type) ? defaults[type]! : {};
}

function checkShown(
  projection: Projection,
  original: StateRoot,
  key: RecordKey,
  names: readonly string[],
  isNew: boolean,
): ProjectionRefusal | undefined {
  const attributes = shownAttributes(projection, key);
  if (attributes === undefined) return refusal(key, 'PROJECTION_HIDDEN', `its type ${typeName(key)} is not shown`);
  if (isNew && original.has(key)) return refusal(key, 'PROJECTION_HIDDEN', 'a model that is not shown has this key');
  const identifiers = projection.models.typeOf(key).identifiers.fields.map(([name]) => name);
  const hidden = names.find(
    (name) => name !== PARENT && attributes !== 'all' && !attributes.includes(name) && !identifiers.includes(name),
  );
  return hidden === undefined ? undefined : refusal(key, 'PROJECTION_HIDDEN', `its attribute ${hidden} is not shown`);
}

/** The result must be a state of models, and its projection what somebody made of the projection. */
function* checkResult(
  projection: Projection,
  root: StateRoot,
  before: StateRoot,
  diff: Diff,
): Generator<ProjectionRefusal> {
  for (const { key } of diff.entries) {
    const record = root.get(key);
    if (record === undefined) continue;
    try {
      projection.models.read(key, record);
    } catch (error) {
      yield refusal(key, 'MODEL_INVALID', error instanceof Error ? error.message : String(error));
    }
  }
  try {
    checkHierarchy(projection.models, root);
  } catch (error) {
    if (!(error instanceof SyncError)) throw error;
    yield refusal((error.place.key ?? '') as RecordKey, 'MODEL_INVALID', error.message);
    return;
  }
  const wanted = before.apply(diffChanges(diff));
  for (const { key, action } of diffModels(wanted, project(projection, root)).entries) {
    const reason =
      action === 'delete' ? 'the change takes it out of the projection' : 'it is shown otherwise than asked for';
    yield refusal(key, 'PROJECTION_LEAVES', reason);
  }
}

function refusal(key: RecordKey, code: ProjectionRefusal['code'], reason: string): ProjectionRefusal {
  return { key, code, reason };
}
