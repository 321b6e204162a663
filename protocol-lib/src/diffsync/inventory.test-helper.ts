import fc from 'fast-check';
import { StateMerkleTree, StateRoot } from '../merkle/index.ts';
import { finite, optional, string, uint } from '../schema/index.ts';
import type { RecordKey, SyncRecord } from '../state/index.ts';
import { type Adapter, type ModelUpdate, refuseModel, type Side } from './adapter.ts';
import { MemoryStore } from './memory-store.ts';
import { type DiffModel, defineModel, diffModel, ModelSet, modelKey, PARENT, parentOf, recordOf } from './model.ts';

/** Sites with racks with devices, and folders in folders. */
export const site = defineModel({ type: 'site', identifiers: { name: string(40) }, attributes: { city: string(40) } });
export const rack = defineModel({
  type: 'rack',
  identifiers: { site: string(40), number: uint },
  attributes: { height: uint },
  under: ['site'],
});
export const device = defineModel({
  type: 'device',
  identifiers: { serial: string(40) },
  attributes: { vlan: uint, note: optional(string(40)), changed: optional(finite) },
  under: ['rack', 'site', null],
  stamp: 'changed',
});
export const folder = defineModel({
  type: 'folder',
  identifiers: { id: uint },
  attributes: { title: string(40) },
  under: ['folder', null],
});
export const inventory = new ModelSet([site, rack, device, folder]);

export const siteKey = (name: string): RecordKey => modelKey(site, { name });
export const rackKey = (name: string, number: number): RecordKey => modelKey(rack, { site: name, number });
export const deviceKey = (serial: string): RecordKey => modelKey(device, { serial });
export const folderKey = (id: number): RecordKey => modelKey(folder, { id });

export const aSite = (name: string, city = 'x'): DiffModel => diffModel(site, { name }, { city });
export const aRack = (name: string, number: number, height = 42): DiffModel =>
  diffModel(rack, { site: name, number }, { height }, siteKey(name));
export const aDevice = (
  serial: string,
  attributes: { vlan?: number; note?: string; changed?: number } = {},
  parent: RecordKey | null = null,
): DiffModel => diffModel(device, { serial }, { vlan: 1, ...attributes }, parent);
export const aFolder = (id: number, parent: number | null = null, title = 't'): DiffModel =>
  diffModel(folder, { id }, { title }, parent === null ? null : folderKey(parent));

export function stateOf(...models: readonly DiffModel[]): StateRoot {
  return StateRoot.from(models.map((model) => [model.key, recordOf(model)] as const));
}

export function sideOf(name: string, root: StateRoot = StateRoot.empty): Side {
  return { store: new MemoryStore(name, { root }), models: inventory };
}

/** A step that leads from one valid state to another; one that would not is passed over. */
type Step =
  | { readonly op: 'put'; readonly model: DiffModel }
  | { readonly op: 'move'; readonly key: RecordKey; readonly parent: RecordKey | null }
  | { readonly op: 'delete'; readonly key: RecordKey };

const names = fc.constantFrom('a', 'b', 'c');
const parents = fc.oneof(
  fc.constant(null),
  names.map(siteKey),
  fc.tuple(names, fc.nat(2)).map(([name, number]) => rackKey(name, number)),
  fc.nat(5).map(folderKey),
);
const models = fc.oneof(
  fc.tuple(names, fc.string({ maxLength: 3, unit: 'grapheme' })).map(([name, city]) => aSite(name, city)),
  fc.tuple(names, fc.nat(2), fc.nat(3)).map(([name, number, height]) => aRack(name, number, height)),
  fc
    .tuple(fc.nat(5), fc.record({ vlan: fc.nat(3), note: names, changed: fc.nat(3) }, { requiredKeys: [] }), parents)
    .map(([serial, attributes, parent]) =>
      aDevice(`s${serial}`, attributes, parent?.startsWith('folder') ? null : parent),
    ),
  fc.tuple(fc.nat(5), fc.option(fc.nat(5)), names).map(([id, parent, title]) => aFolder(id, parent, title)),
);
const keys = fc.oneof(
  parents.filter((key): key is RecordKey => key !== null),
  fc.nat(5).map((serial) => deviceKey(`s${serial}`)),
);
const step: fc.Arbitrary<Step> = fc.oneof(
  models.map((model): Step => ({ op: 'put', model })),
  models.map((model): Step => ({ op: 'put', model })),
  fc.tuple(keys, parents).map(([key, parent]): Step => ({ op: 'move', key, parent })),
  keys.map((key): Step => ({ op: 'delete', key })),
);
export const steps: fc.Arbitrary<readonly Step[]> = fc.array(step, { maxLength: 30 });

/** The state after some steps: always a hierarchy. */
export function afterSteps(root: StateRoot, list: readonly Step[]): StateRoot {
  const tree = new StateMerkleTree(root);
  for (const one of list) takeStep(tree, one);
  return tree.root();
}

function takeStep(tree: StateMerkleTree, one: Step): void {
  if (one.op === 'delete') {
    for (const key of [...belowOf(tree, one.key)].reverse()) tree.remove(key);
    return;
  }
  const key = one.op === 'put' ? one.model.key : one.key;
  const record = one.op === 'put' ? recordOf(one.model) : tree.get(key);
  if (record === undefined) return;
  const parent = one.op === 'put' ? parentOf(record) : one.parent;
  const isAllowed = inventory.typeOf(key).under.includes(parent === null ? null : parent.slice(0, parent.indexOf('/')));
  if (!isAllowed || (parent !== null && (!tree.has(parent) || belowOf(tree, key).includes(parent)))) return;
  const { [PARENT]: _, ...rest } = record;
  tree.put(key, parent === null ? rest : ({ ...rest, [PARENT]: parent } as SyncRecord));
}

/** A model and all below it, the parents first. */
function belowOf(tree: StateMerkleTree, top: RecordKey): RecordKey[] {
  const list = [top];
  for (let index = 0; index < list.length; index++) {
    for (const [key, record] of tree.entries()) if (parentOf(record) === list[index]) list.push(key);
  }
  return list;
}

export const states = steps.map((list) => afterSteps(StateRoot.empty, list));

/** A system as an adapter sees it. Some of its models it may refuse, or fail on. */
export class FakeSystem implements Adapter {
  readonly models = inventory;
  readonly content = new Map<RecordKey, DiffModel>();
  readonly calls: string[] = [];
  refuses = new Set<RecordKey>();
  throwsOn = new Set<RecordKey>();
  breaksAfter = Number.POSITIVE_INFINITY;

  constructor(...content: readonly DiffModel[]) {
    for (const model of content) this.content.set(model.key, model);
  }

  static of(root: StateRoot): FakeSystem {
    return new FakeSystem(...Array.from(root.entries(), ([key, record]) => inventory.read(key, record)));
  }

  *load(): Generator<DiffModel> {
    let left = this.breaksAfter;
    for (const model of this.content.values()) {
      if (left-- === 0) throw new Error('the line is dead');
      yield model;
    }
  }

  create(model: DiffModel): void {
    this.#write('create', model);
  }

  update(model: DiffModel, update: ModelUpdate): void {
    this.#write(`update(${update.attributes.join(',')}${update.isMoved ? ' moved' : ''})`, model);
  }

  delete(model: DiffModel): void {
    this.#check('delete', model);
    this.content.delete(model.key);
  }

  root(): StateRoot {
    return stateOf(...this.content.values());
  }

  #write(call: string, model: DiffModel): void {
    this.#check(call, model);
    if (model.parent !== null && !this.content.has(model.parent)) throw new Error(`${model.key} would be an orphan`);
    this.content.set(model.key, model);
  }

  #check(call: string, model: DiffModel): void {
    this.calls.push(`${call} ${model.key}`);
    if (this.refuses.has(model.key)) refuseModel('not today');
    if (this.throwsOn.has(model.key)) throw new Error('crash');
  }
}
