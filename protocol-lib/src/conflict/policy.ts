import { SyncError } from '../errors/index.ts';
import { array, boolean, type Infer, literal, object, optional, string, uint, variant } from '../schema/index.ts';
import type { RecordKey } from '../state/index.ts';

/**
 * How two values that were written without knowledge of each other become one.
 *
 * - `last-write`: the later hybrid stamp, then the higher writer.
 * - `merge`: what each writer meant is done to the same value: a list's items, a set's members or a counter's difference. List items
 *   that are records are told apart by `id`.
 * - `role`: the writer of the highest rank; of equal ranks the last write. A role that is not named has rank 0.
 * - `domain`: mutations here are commands that a registered rule decides on, whole.
 * - `human`: the base stands until somebody decides.
 */
export const policySchema = variant('kind', {
  'last-write': object({}),
  merge: object({ of: literal('list', 'set', 'counter'), id: optional(string(256)) }),
  role: object({ ranks: array(object({ role: string(80), rank: uint }), 1_000) }),
  domain: object({ rule: string(80), version: uint }),
  human: object({}),
});
export type Policy = Infer<typeof policySchema>;

/** Which policy holds where. */
export const policyEntrySchema = object({
  /** What the keys of the records begin with, such as `player/`. */
  collection: string(256),
  /** The fields that it is for, which are one atomic group: no record ever has some of one writer and some of another. */
  fields: optional(array(string(256), 1_000)),
  /** Without `fields`: the record as a whole is such a group. Where false or absent, each field is decided upon alone. */
  whole: optional(boolean),
  policy: policySchema,
});
export type PolicyEntry = Infer<typeof policyEntrySchema>;

/** Declared once for a session, the same at every replica. Of the entries that fit a record, those of the longest collection hold. */
export const policyTableSchema = array(policyEntrySchema, 1_000);

/** What is decided upon together: one field, a group, or a record. `fields` is undefined for a whole record. */
export interface Unit {
  /** Field names with commas between them, or `*`. */
  readonly name: string;
  readonly fields: readonly string[] | undefined;
  readonly policy: Policy;
}

const LAST_WRITE: Policy = { kind: 'last-write' };

/** A short name of a policy, for a trace record and a reason. */
export function policyName(policy: Policy): string {
  switch (policy.kind) {
    case 'merge':
      return `merge ${policy.of}`;
    case 'domain':
      return `${policy.rule}@${policy.version}`;
    default:
      return policy.kind;
  }
}

/** The policies of a session, looked up by record and field. */
export class PolicyTable {
  readonly entries: readonly PolicyEntry[];

  /** @throws SyncError `SCHEMA_MISMATCH`, or `POLICY_INVALID` for a table that contradicts itself */
  constructor(entries: unknown) {
    const parsed = policyTableSchema.parse(entries, 'policies');
    checkEntries(parsed);
    // Longest first: the first that fits holds.
    this.entries = parsed.toSorted((a, b) => b.collection.length - a.collection.length);
  }

  /** The rule that owns the record's collection, if one does. */
  domainOf(key: RecordKey): Extract<Policy, { kind: 'domain' }> | undefined {
    const policy = this.#entriesOf(key)[0]?.policy;
    return policy?.kind === 'domain' ? policy : undefined;
  }

  /** The unit that a field of a record belongs to. */
  unitOf(key: RecordKey, field: string): Unit {
    const entries = this.#entriesOf(key);
    const group = entries.find(({ fields }) => fields?.includes(field));
    if (group?.fields) return { name: group.fields.join(','), fields: group.fields, policy: group.policy };
    const rest = entries.find(({ fields }) => fields === undefined);
    if (rest?.whole) return { name: '*', fields: undefined, policy: rest.policy };
    return { name: field, fields: [field], policy: rest?.policy ?? LAST_WRITE };
  }

  /** The units that these fields belong to, each once. */
  unitsOf(key: RecordKey, fields: Iterable<string>): Unit[] {
    const units = new Map<string, Unit>();
    for (const field of fields) {
      const unit = this.unitOf(key, field);
      units.set(unit.name, unit);
    }
    if (units.size === 0) {
      const rest = this.#entriesOf(key).find((entry) => entry.whole);
      if (rest) units.set('*', { name: '*', fields: undefined, policy: rest.policy });
    }
    return [...units.values()];
  }

  #entriesOf(key: RecordKey): readonly PolicyEntry[] {
    const first = this.entries.find(({ collection }) => key.startsWith(collection));
    return first ? this.entries.filter(({ collection }) => collection === first.collection) : [];
  }
}

function checkEntries(entries: readonly PolicyEntry[]): void {
  const seen = new Set<string>();
  for (const { collection, fields, whole, policy } of entries) {
    const isWrong = (what: string): never => {
      throw new SyncError('POLICY_INVALID', `the policies of ${JSON.stringify(collection)} ${what}`, {
        origin: 'setting',
        place: { path: `policies/${collection}` },
      });
    };
    if (collection === '') isWrong('are for no collection');
    if (fields?.length === 0) isWrong('name no fields');
    if (fields?.some((field) => field.includes(','))) isWrong('name a field with a comma');
    if (fields && (whole || policy.kind === 'domain')) isWrong('are for fields, and for the whole record too');
    if (policy.kind === 'merge' && (whole || (fields && fields.length > 1))) {
      isWrong('merge by intent what is more than one field');
    }
    for (const name of fields ?? ['']) {
      if (seen.has(`${collection}\n${name}`)) isWrong(`say twice what holds${name ? ` for ${name}` : ''}`);
      seen.add(`${collection}\n${name}`);
    }
    const mates = entries.filter((other) => other.collection === collection);
    if (mates.length > 1 && mates.some((one) => one.whole || one.policy.kind === 'domain')) {
      isWrong('are for the record as a whole, and for parts of it');
    }
  }
}
