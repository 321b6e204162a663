import { SyncError } from '../errors/index.ts';
import { sameRecord } from '../merkle/index.ts';
import { type InferShape, type ObjectSchema, object, type Schema } from '../schema/index.ts';
import { type RecordKey, recordKey, type SyncRecord, type Value } from '../state/index.ts';

/**
 * Models: what an adapter loads from a system. A model is a record under a key, so that a state of models has the
 * hash, the deltas and the diffs of any other state. Its key is its type and its identifiers; its record has the
 * identifiers, the attributes, and under {@link PARENT} the key of the model that it stands below.
 */

/** The field of a record that names the parent. No attribute can be called so. */
export const PARENT = '@parent';

type Shape = Readonly<Record<string, Schema<unknown>>>;
type Fields = Readonly<Record<string, unknown>>;

/** A declared type of models. Made by {@link defineModel}. */
export interface ModelType<I extends Fields = Fields, A extends Fields = Fields> {
  readonly name: string;
  /** What tells two models of the type apart, for ever. Text, safe integers or booleans, never absent. */
  readonly identifiers: ObjectSchema<I>;
  readonly attributes: ObjectSchema<A>;
  /** Types under which a model of this type may stand; null: at the top. */
  readonly under: ReadonlyArray<string | null>;
  /** The attribute that says how new a model is, for the strategy `newest`. */
  readonly stamp?: string;
  /** The system deletes what is below by itself: the adapter is asked to delete the parent only. */
  readonly deletesChildren: boolean;
}

/** One model, checked. Made by {@link diffModel} or {@link ModelSet.read}. */
export interface DiffModel<I extends Fields = Fields, A extends Fields = Fields> {
  readonly type: string;
  readonly key: RecordKey;
  readonly identifiers: I;
  readonly attributes: A;
  readonly parent: RecordKey | null;
}

const NAME_PATTERN = /^[A-Za-z][A-Za-z0-9_-]{0,63}$/;

export interface ModelDeclaration<I extends Shape, A extends Shape> {
  readonly type: string;
  readonly identifiers: I;
  readonly attributes: A;
  /** `[null]`, at the top only, unless given. */
  readonly under?: ReadonlyArray<string | null>;
  readonly stamp?: string;
  readonly deletesChildren?: boolean;
}

/** @throws SyncError `MODEL_TYPE_INVALID` for a name that is reserved, malformed or used twice, or without identifiers */
export function defineModel<const I extends Shape, const A extends Shape>(
  declaration: ModelDeclaration<I, A>,
): ModelType<InferShape<I>, InferShape<A>> {
  const { type, identifiers, attributes, under = [null], stamp, deletesChildren = false } = declaration;
  const names = [...Object.keys(identifiers), ...Object.keys(attributes)];
  for (const name of [type, ...names]) {
    if (!NAME_PATTERN.test(name)) {
      typeInvalid(type, `${JSON.stringify(name)} is not a letter and up to 63 letters, digits, - or _`);
    }
  }
  if (new Set(names).size < names.length) typeInvalid(type, 'an identifier and an attribute have the same name');
  if (Object.keys(identifiers).length === 0) typeInvalid(type, 'it has no identifier');
  if (under.length === 0) typeInvalid(type, 'it may stand nowhere; allow a type of parent, or null for the top');
  if (stamp !== undefined && !Object.hasOwn(attributes, stamp)) typeInvalid(type, `its stamp ${stamp} is no attribute`);
  return {
    name: type,
    identifiers: object(identifiers),
    attributes: object(attributes),
    under,
    deletesChildren,
    ...(stamp === undefined ? {} : { stamp }),
  };
}

function typeInvalid(type: string, what: string): never {
  throw new SyncError('MODEL_TYPE_INVALID', `model type ${JSON.stringify(type.slice(0, 80))}: ${what}`, {
    origin: 'setting',
  });
}

/**
 * The key of the model with these identifiers, in the declared order: `device/berlin/7` has the text `berlin` and the text
 * `7`, `device/berlin/#7` the number 7. Different identifiers have different keys.
 * @throws SyncError `SCHEMA_MISMATCH`, `MODEL_IDENTIFIER_INVALID`, and `KEY_INVALID` where it gets longer than 256
 */
export function modelKey<I extends Fields>(type: ModelType<I, Fields>, identifiers: I): RecordKey {
  const parsed = type.identifiers.parse(identifiers, type.name) as Fields;
  const parts = type.identifiers.fields.map(([name]) => identifierPart(type.name, name, parsed[name]));
  return recordKey([type.name, ...parts].join('/'));
}

// `#` marks numbers and booleans, `%` an escape; `/` and control characters have a meaning in keys, or none.
const ESCAPED = /[%/#\p{Cc}]/gu;

function identifierPart(type: string, name: string, value: unknown): string {
  if (typeof value === 'string') return value === '' ? '%' : value.replace(ESCAPED, escapeUnit);
  if (typeof value === 'boolean' || (Number.isSafeInteger(value) && !Object.is(value, -0))) return `#${String(value)}`;
  throw new SyncError(
    'MODEL_IDENTIFIER_INVALID',
    `${type}/${name}: an identifier is text, a safe integer or a boolean, and always there`,
    { origin: 'state', place: { path: `${type}/${name}` } },
  );
}

function escapeUnit(unit: string): string {
  return `%${unit.charCodeAt(0).toString(16).padStart(2, '0')}`;
}

/**
 * A model of a type, checked against its declaration.
 * @throws SyncError `SCHEMA_MISMATCH` or `MODEL_FIELD_UNKNOWN` with the path of the field, and as {@link modelKey}
 */
export function diffModel<I extends Fields, A extends Fields>(
  type: ModelType<I, A>,
  identifiers: I,
  attributes: A,
  parent: RecordKey | null = null,
): DiffModel<I, A> {
  const key = modelKey(type, identifiers);
  checkKnown(type.identifiers, identifiers, key);
  checkKnown(type.attributes, attributes, key);
  return {
    type: type.name,
    key,
    identifiers: type.identifiers.parse(identifiers, key),
    attributes: type.attributes.parse(attributes, key),
    parent: parent === null ? null : recordKey(parent),
  };
}

/** A name that is not declared would be lost in silence, and `__proto__` would not even be a field. */
function checkKnown(schema: ObjectSchema<unknown>, given: Fields, key: RecordKey): void {
  for (const name of Object.keys(given)) {
    if (schema.fields.some(([known]) => known === name)) continue;
    const path = `${key}/${name.slice(0, 64)}`;
    throw new SyncError('MODEL_FIELD_UNKNOWN', `${path}: the type declares no such field`, {
      origin: 'state',
      place: { key, path },
    });
  }
}

/** The types that a system's models have. Adapters of both sides of a sync have the same one. */
export class ModelSet {
  readonly types: ReadonlyMap<string, ModelType>;

  /** @throws SyncError `MODEL_TYPE_INVALID` for a type given twice, or one that stands under an unknown one */
  constructor(types: readonly ModelType[]) {
    const byName = new Map(types.map((type) => [type.name, type]));
    for (const type of types) {
      if (byName.get(type.name) !== type) typeInvalid(type.name, 'it is given twice');
      for (const above of type.under) {
        if (above !== null && !byName.has(above))
          typeInvalid(type.name, `it stands under ${above}, which is not given`);
      }
    }
    this.types = byName;
  }

  /** The type of a model with this key. @throws SyncError `MODEL_TYPE_UNKNOWN` */
  typeOf(key: RecordKey): ModelType {
    const type = this.types.get(typeName(key));
    if (type === undefined) {
      throw new SyncError('MODEL_TYPE_UNKNOWN', `${key}: the models have no type ${typeName(key)}`, {
        origin: 'state',
        place: { key },
      });
    }
    return type;
  }

  /**
   * The model in a record, checked.
   * @throws SyncError as {@link diffModel}; `MODEL_KEY_WRONG` where it stands under a key that is not its own
   */
  read(key: RecordKey, record: SyncRecord): DiffModel {
    const type = this.typeOf(key);
    const identifiers: Record<string, Value> = {};
    const attributes: Record<string, Value> = {};
    for (const [name, value] of Object.entries(record)) {
      if (name === PARENT) continue;
      const isIdentifier = type.identifiers.fields.some(([own]) => own === name);
      // Defined, not assigned: a field called __proto__ must arrive where it is refused.
      Object.defineProperty(isIdentifier ? identifiers : attributes, name, { value, enumerable: true });
    }
    const parent = parentOf(record);
    const model = diffModel(type, identifiers, attributes, parent);
    if (model.key === key) return model;
    throw new SyncError('MODEL_KEY_WRONG', `${key}: its identifiers make the key ${model.key}`, {
      origin: 'state',
      place: { key },
    });
  }

  /**
   * A model from outside as a record, checked.
   * @throws SyncError as {@link ModelSet.read}
   */
  record(model: DiffModel): SyncRecord {
    const type = this.types.get(model.type);
    if (type === undefined) {
      throw new SyncError('MODEL_TYPE_UNKNOWN', `the models have no type ${JSON.stringify(model.type)}`, {
        origin: 'state',
        place: { key: String(model.key).slice(0, 64) },
      });
    }
    const checked = diffModel(type, model.identifiers, model.attributes, model.parent);
    if (checked.key !== model.key) {
      throw new SyncError('MODEL_KEY_WRONG', `${model.key}: its identifiers make the key ${checked.key}`, {
        origin: 'state',
        place: { key: model.key },
      });
    }
    return recordOf(checked);
  }
}

/** The record of a checked model. */
export function recordOf(model: DiffModel): SyncRecord {
  const fields = { ...model.identifiers, ...model.attributes } as SyncRecord;
  return model.parent === null ? fields : { ...fields, [PARENT]: model.parent };
}

/** The name of the type in a model's key. */
export function typeName(key: RecordKey): string {
  return key.slice(0, key.indexOf('/'));
}

/** The parent that a model's record names. @throws SyncError `KEY_INVALID` */
export function parentOf(record: SyncRecord): RecordKey | null {
  const parent = record[PARENT];
  return parent === undefined ? null : recordKey(String(parent));
}

/** Whether two records are equal, or neither is there. */
export function isSameModel(left: SyncRecord | undefined, right: SyncRecord | undefined): boolean {
  return left === undefined || right === undefined ? left === right : sameRecord(left, right);
}
