import { isSyncError } from '../errors/index.ts';
import type { StateRoot } from '../merkle/index.ts';
import { loadSide, reasonOf, type Side } from './adapter.ts';
import type { DiffSync, OneWayReport, SyncOptions } from './diff-sync.ts';
import { MemoryStore } from './memory-store.ts';
import { type Projection, project } from './projection.ts';

/** A component that is to be configured: its own side, and what of the desired state concerns it. */
export interface Component {
  readonly name: string;
  readonly side: Side;
  /** All of the desired state unless given. */
  readonly projection?: Projection;
}

/** What became of one component. `failed`: its system could not be read, and nothing was changed there. */
export type ComponentReport =
  | { readonly component: string; readonly outcome: OneWayReport['outcome']; readonly report: OneWayReport }
  | { readonly component: string; readonly outcome: 'failed'; readonly code: string; readonly reason: string };

export interface ConfigurationOptions extends SyncOptions {
  /** Told of each component as it is done. */
  readonly onComponent?: (report: ComponentReport) => void;
}

/**
 * Brings one desired state to many components, one after the other, each through its own adapter. A component that fails stops
 * none of the others.
 * @throws SyncError as {@link loadSide} of the desired state, before any component is changed
 */
export async function syncConfiguration(
  sync: DiffSync,
  desired: Side,
  components: readonly Component[],
  options: ConfigurationOptions = {},
): Promise<ComponentReport[]> {
  if (!options.skipLoad) await loadSide(desired, options);
  const reports: ComponentReport[] = [];
  for (const component of components) {
    const report = await configure(sync, desired, component, options);
    reports.push(report);
    options.onComponent?.(report);
  }
  return reports;
}

async function configure(
  sync: DiffSync,
  desired: Side,
  { name, side, projection }: Component,
  options: ConfigurationOptions,
): Promise<ComponentReport> {
  const wanted = desired.store.root();
  const root: StateRoot = projection === undefined ? wanted : project(projection, wanted);
  // A view of its own for each component; the desired state's history is in its own store.
  const source: Side = { store: new MemoryStore(desired.store.name, { root }), models: desired.models };
  try {
    const report = await sync.oneWay(source, side, options);
    return { component: name, outcome: report.outcome, report };
  } catch (error) {
    const code = isSyncError(error) ? error.code : 'ADAPTER_FAILED';
    return { component: name, outcome: 'failed', code, reason: reasonOf(error) };
  }
}
