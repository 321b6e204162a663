import { isSyncError, SyncError } from '../errors/index.ts';
import { StateMerkleTree, StateRoot, sameValue } from '../merkle/index.ts';
import type { RecordKey, SyncRecord, Value } from '../state/index.ts';
import { type Adapter, reasonOf, refuseModel, type Side } from './adapter.ts';
import { checkHierarchy } from './hierarchy.ts';
import { type DiffModel, diffModel, type ModelSet, type ModelType, recordOf } from './model.ts';

/** Where a field of the new model comes from. */
export type FieldRule =
  /** The old field of this name, as it is; the same way back. */
  | { readonly from: string }
  /** Turned into another value; back by `down`, which may be absent where nothing leads back. `up` and `down` depend on their argument only. */
  | { readonly from: string; readonly up: (value: Value) => Value; readonly down?: (value: Value) => Value }
  /** The same for every model, since the old ones have nothing of the kind. On the way back it is not carried. */
  | { readonly value: Value };

/** How the models of one old type become models of one new type. */
export interface TypeMigration {
  readonly from: string;
  readonly to: string;
  /** Every identifier of the new type. Where there is a way back, from all identifiers of the old one. */
  readonly identifiers: Readonly<Record<string, FieldRule>>;
  readonly attributes: Readonly<Record<string, FieldRule>>;
  /** What an old attribute gets on the way back that nothing of the new model leads to. */
  readonly defaults?: SyncRecord;
}

/** Leads from the models of one version of a schema to those of another. Types that are not named are dropped. */
export interface Migration {
  readonly from: ModelSet;
  readonly to: ModelSet;
  readonly types: readonly TypeMigration[];
}

/** What could not be carried: a value, or, without `field`, a whole model. */
export interface Uncarried {
  readonly key: RecordKey;
  readonly field?: string;
  readonly value?: Value;
  readonly reason: string;
}

export interface Migrated {
  readonly root: StateRoot;
  /** Old keys to new ones, of all that was carried. */
  readonly keys: ReadonlyMap<RecordKey, RecordKey>;
  /** Sorted by key. */
  readonly uncarried: readonly Uncarried[];
}

export type MigrationDirection = 'up' | 'down';

/**
 * Migrates a whole state, and says what of it could not be carried. A model below one that could not be carried is not
 * carried either.
 * @throws SyncError `MIGRATION_INVALID` where two models get one key, `MIGRATION_UNKNOWN` for a rule about an unknown type, and as
 * {@link checkHierarchy} where the result is none
 */
export function migrate(migration: Migration, state: StateRoot, direction: MigrationDirection = 'up'): Migrated {
  const from = direction === 'up' ? migration.from : migration.to;
  const uncarried: Uncarried[] = [];
  const keys = new Map<RecordKey, RecordKey>();
  const carried = new Map<RecordKey, DiffModel>();
  for (const [key, record] of [...state.entries()].sort(([left], [right]) => (left < right ? -1 : 1))) {
    const model = migrateModel(migration, from.read(key, record), direction, uncarried);
    if (model === undefined) continue;
    keys.set(key, model.key);
    carried.set(key, model);
  }
  dropOrphans(state, carried, keys, uncarried);
  const tree = new StateMerkleTree(new StateRoot(null, state.hasher));
  for (const [key, model] of carried) {
    if (tree.has(model.key)) invalid(model.key, `${key} and another model both become ${model.key}`);
    tree.put(model.key, recordOf({ ...model, parent: model.parent === null ? null : keys.get(model.parent)! }));
  }
  const root = tree.root();
  checkHierarchy(direction === 'up' ? migration.to : migration.from, root);
  uncarried.sort((left, right) => compare(left.key, right.key) || compare(left.field ?? '', right.field ?? ''));
  return { root, keys, uncarried };
}

function compare(left: string, right: string): number {
  return left < right ? -1 : left > right ? 1 : 0;
}

/** Takes out what stands below a model that was not carried. Parents are still the old keys here. */
function dropOrphans(
  state: StateRoot,
  carried: Map<RecordKey, DiffModel>,
  keys: Map<RecordKey, RecordKey>,
  uncarried: Uncarried[],
): void {
  let dropped: RecordKey[];
  do {
    dropped = [...carried].filter(([, { parent }]) => parent !== null && !carried.has(parent)).map(([key]) => key);
    for (const key of dropped) {
      const parent = carried.get(key)!.parent;
      uncarried.push({
        key,
        reason: state.has(parent!) ? `its parent ${parent} was not carried` : `its parent ${parent} is not there`,
      });
      carried.delete(key);
      keys.delete(key);
    }
  } while (dropped.length > 0);
}

/** One model, still below its old parent; undefined where it cannot be carried. */
function migrateModel(
  migration: Migration,
  model: DiffModel,
  direction: MigrationDirection,
  uncarried: Uncarried[],
): DiffModel | undefined {
  const rule = migration.types.find((one) => (direction === 'up' ? one.from : one.to) === model.type);
  if (rule === undefined) {
    uncarried.push({ key: model.key, reason: `the other version has nothing for the type ${model.type}` });
    return undefined;
  }
  const type = targetType(migration, rule, direction);
  const lost: Uncarried[] = [];
  const fields = { ...model.identifiers, ...model.attributes } as SyncRecord;
  const values =
    direction === 'up' ? fieldsUp(rule, fields, model.key, lost) : fieldsDown(rule, fields, model.key, lost);
  const isIdentifier = (name: string) => type.identifiers.fields.some(([own]) => own === name);
  try {
    const entries = [...values];
    const made = diffModel(
      type,
      Object.fromEntries(entries.filter(([name]) => isIdentifier(name))),
      Object.fromEntries(entries.filter(([name]) => !isIdentifier(name))),
      model.parent,
    );
    uncarried.push(...lost);
    return made;
  } catch (error) {
    if (!isSyncError(error)) throw error;
    uncarried.push({ key: model.key, reason: [error.message, ...lost.map(({ reason }) => reason)].join('; ') });
    return undefined;
  }
}

function targetType(migration: Migration, rule: TypeMigration, direction: MigrationDirection): ModelType {
  const [models, name] = direction === 'up' ? [migration.to, rule.to] : [migration.from, rule.from];
  const type = models.types.get(name);
  if (type === undefined) {
    throw new SyncError('MIGRATION_UNKNOWN', `the migration of ${rule.from} to ${rule.to}: there is no type ${name}`, {
      origin: 'setting',
    });
  }
  return type;
}

function rulesOf(rule: TypeMigration): [string, FieldRule][] {
  return [...Object.entries(rule.identifiers), ...Object.entries(rule.attributes)];
}

function fieldsUp(rule: TypeMigration, old: SyncRecord, key: RecordKey, lost: Uncarried[]): Map<string, Value> {
  const values = new Map<string, Value>();
  const carried = new Set<string>();
  for (const [name, field] of rulesOf(rule)) {
    if ('value' in field) values.set(name, field.value);
    else if (Object.hasOwn(old, field.from)) {
      const value = turned(old[field.from]!, 'up' in field ? field.up : undefined, key, field.from, lost);
      carried.add(field.from);
      if (value !== undefined) values.set(name, value);
    }
  }
  noteLost(old, carried, key, lost);
  return values;
}

function fieldsDown(rule: TypeMigration, now: SyncRecord, key: RecordKey, lost: Uncarried[]): Map<string, Value> {
  const values = new Map(Object.entries(rule.defaults ?? {}));
  const carried = new Set<string>();
  for (const [name, field] of rulesOf(rule)) {
    if ('value' in field || !Object.hasOwn(now, name)) {
      // A constant says nothing of the old model; any other value in its place was set since.
      if ('value' in field && Object.is(now[name], field.value)) carried.add(name);
      continue;
    }
    if ('up' in field && field.down === undefined) continue;
    const value = turned(now[name]!, 'up' in field ? field.down : undefined, key, name, lost);
    carried.add(name);
    if (value !== undefined) values.set(field.from, value);
  }
  noteLost(now, carried, key, lost);
  return values;
}

function turned(
  value: Value,
  turn: ((value: Value) => Value) | undefined,
  key: RecordKey,
  field: string,
  lost: Uncarried[],
): Value | undefined {
  if (turn === undefined) return value;
  try {
    return turn(value);
  } catch (error) {
    lost.push({ key, field, value, reason: `${field} cannot be turned: ${reasonOf(error)}` });
    return undefined;
  }
}

function noteLost(record: SyncRecord, carried: ReadonlySet<string>, key: RecordKey, lost: Uncarried[]): void {
  for (const [field, value] of Object.entries(record)) {
    if (!carried.has(field)) lost.push({ key, field, value, reason: `nothing carries ${field} over` });
  }
}

function invalid(key: RecordKey, what: string): never {
  throw new SyncError('MIGRATION_INVALID', `the migration does not fit: ${what}`, { origin: 'state', place: { key } });
}

/**
 * An adapter in the new schema for a system in the old one. It reads through the migration and writes back through it; of an update only the
 * attributes that changed go back, so what the old model has and the new one knows nothing of stays. A change that nothing leads back
 * from is refused.
 */
export class MigratingAdapter implements Adapter {
  readonly models: ModelSet;
  readonly #old: Adapter;
  readonly #migration: Migration;
  #loaded: Migrated | undefined;
  #oldModels = new Map<RecordKey, DiffModel>();

  constructor(old: Adapter, migration: Migration) {
    this.#old = old;
    this.#migration = migration;
    this.models = migration.to;
  }

  /** What the last reading could not carry. */
  get uncarried(): readonly Uncarried[] {
    return this.#loaded?.uncarried ?? [];
  }

  async *load(): AsyncGenerator<DiffModel> {
    const tree = new StateMerkleTree();
    const models = await this.#old.load();
    const take = (model: DiffModel): void => {
      if (tree.has(model.key)) invalid(model.key, 'the adapter gave two models with these identifiers');
      tree.put(model.key, this.#old.models.record(model));
    };
    if (Symbol.asyncIterator in models) for await (const model of models) take(model);
    else for (const model of models) take(model);
    const state = tree.root();
    const loaded = migrate(this.#migration, state);
    this.#loaded = loaded;
    this.#oldModels = new Map();
    for (const [old, key] of loaded.keys) this.#oldModels.set(key, this.#old.models.read(old, state.get(old)!));
    for (const [key, record] of loaded.root.entries()) yield this.models.read(key, record);
  }

  async create(model: DiffModel): Promise<void> {
    const old = this.#down(model);
    await this.#old.create(old);
    this.#oldModels.set(model.key, old);
  }

  async update(model: DiffModel, update: Parameters<Adapter['update']>[1]): Promise<void> {
    const before = this.#known(model.key);
    const [was, is] = [this.#down(update.before), this.#down(model)];
    const attributes: Record<string, unknown> = { ...before.attributes };
    const changed: string[] = [];
    for (const name of new Set([...Object.keys(was.attributes), ...Object.keys(is.attributes)])) {
      const value = is.attributes[name];
      if (sameValue(was.attributes[name] as Value | undefined, value as Value | undefined)) continue;
      changed.push(name);
      if (value === undefined) delete attributes[name];
      else attributes[name] = value;
    }
    if (changed.length === 0 && !update.isMoved) refuseModel('the older version has nothing for what changed');
    const after: DiffModel = { ...before, attributes, parent: is.parent };
    await this.#old.update(after, { before, attributes: changed, isMoved: update.isMoved });
    this.#oldModels.set(model.key, after);
  }

  async delete(model: DiffModel): Promise<void> {
    await this.#old.delete(this.#known(model.key));
    this.#oldModels.delete(model.key);
  }

  #known(key: RecordKey): DiffModel {
    return this.#oldModels.get(key) ?? refuseModel(`${key} is not in the older version`);
  }

  /** The model in the old schema, below the old parent. */
  #down(model: DiffModel): DiffModel {
    const lost: Uncarried[] = [];
    const old = migrateModel(this.#migration, model, 'down', lost);
    if (old === undefined) refuseModel(lost.map(({ reason }) => reason).join('; '));
    const parent = model.parent === null ? null : this.#known(model.parent).key;
    return { ...old, parent };
  }
}

/** A side in the new schema over a side in the old one: its store is the caller's. */
export function migratedSide(
  store: Side['store'],
  old: Adapter,
  migration: Migration,
): Side & { readonly adapter: MigratingAdapter } {
  return { store, models: migration.to, adapter: new MigratingAdapter(old, migration) };
}
