import { STEP_UNITS } from '@syncscope/protocol/cursor';
import { array, boolean, finite, literal, object, optional, string } from '@syncscope/protocol/schema';
import { replicaIdSchema } from '@syncscope/protocol/state';
import { integer } from '../rpc/values.ts';
import { initialView, SPEEDS, TABS, type ViewState } from './store.ts';

/** What is remembered between loads, as it may come back from storage that anyone could have written to. */
const savedViewSchema = object({
  sessionId: string(100),
  playhead: integer,
  selection: optional(integer),
  left: optional(replicaIdSchema),
  right: optional(replicaIdSchema),
  tab: literal(...TABS),
  filter: string(10_000),
  zoom: optional(object({ from: finite, to: finite })),
  following: boolean,
  diffMoment: optional(integer),
  sameVersion: boolean,
  stateSearch: string(1_000),
  showsInputs: optional(boolean),
  speed: literal(...SPEEDS),
  unit: optional(literal(...STEP_UNITS)),
  lanes: object({ order: array(replicaIdSchema), collapsed: array(replicaIdSchema), pinned: array(replicaIdSchema) }),
  sizes: object({ timeline: finite, stream: finite }),
});

/** The remembered view, or undefined where there is none or it is not one. */
export function readSavedView(value: unknown): ViewState | undefined {
  if (value === undefined || value === null) return undefined;
  try {
    return { ...initialView, ...savedViewSchema.parse(value, 'view') };
  } catch {
    return undefined;
  }
}

/** The view to open a session with: the whole remembered one for the same session, else only its layout. */
export function viewFor(sessionId: string, saved: ViewState | undefined, records: number): ViewState {
  if (!saved) return { ...initialView, sessionId };
  const layout = { tab: saved.tab, speed: saved.speed, unit: saved.unit, sizes: saved.sizes };
  if (saved.sessionId !== sessionId) return { ...initialView, ...layout, sessionId };
  const last = records - 1;
  return {
    ...saved,
    playhead: Math.max(-1, Math.min(saved.playhead, last)),
    selection: saved.selection !== undefined && saved.selection <= last ? saved.selection : undefined,
    diffMoment: saved.diffMoment !== undefined && saved.diffMoment <= last ? saved.diffMoment : undefined,
  };
}
