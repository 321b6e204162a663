import type { FindingClass } from '@syncscope/protocol/diagnose';
import type { TraceRecord } from '@syncscope/protocol/trace';
import type { PlantedBug } from '../simulation/planted-bugs.ts';
import type { CrdtSession } from './crdt-session.ts';
import type { GroupSession } from './group-session.ts';
import type { PeerSession } from './peer-session.ts';
import type { CorpusRecording, CorpusSession } from './session.ts';

interface FaultBase {
  readonly name: string;
  readonly class: FindingClass;
  readonly bug?: PlantedBug;
  /** A bug that goes on strikes at every chance. */
  readonly goesOn?: boolean;
  /** A bug strikes after between a fifth of so many chances and all of them; 50 where absent. */
  readonly chances?: number;
  /** Whether it may find nothing to strike in, or nothing to harm: then another session is made. */
  readonly mayMiss?: (recording: CorpusRecording, struck: number) => boolean;
  /** Whether a record is the one. `struck`: index of the next record when the bug struck; -1 where it did not. */
  isCause(recording: CorpusRecording, index: number, struck: number): boolean;
}

/** One kind of fault, the session in which it is made, how, and which record made it happen. */
export type CorpusFault =
  | (FaultBase & { readonly of?: 'authority'; session?(draw: () => number): Partial<CorpusSession> })
  | (FaultBase & { readonly of: 'peers'; session?(draw: () => number): Partial<PeerSession> })
  | (FaultBase & { readonly of: 'group'; session?(draw: () => number): Partial<GroupSession> })
  | (FaultBase & { readonly of: 'crdt'; session?(draw: () => number): Partial<CrdtSession> });

export function firstAfter(recording: CorpusRecording, from: number, fits: (one: TraceRecord) => boolean): number {
  return from < 0 ? -1 : recording.records.findIndex((one, index) => index >= from && fits(one));
}

export const noted =
  (name: string) =>
  ({ notes }: CorpusRecording, index: number): boolean =>
    notes.get(name) === index;

/** The last record at which a replica told its state, before its copy was changed. */
export const lastStateBefore =
  (target: string) =>
  ({ records, notes }: CorpusRecording, index: number): boolean => {
    const struck = notes.get('strike') ?? -1;
    const kinds = new Set(['apply', 'commit', 'snapshot', 'repair']);
    const tells = ({ body, replica }: TraceRecord) => replica === target && kinds.has(body.kind);
    return index === records.findLastIndex((one, at) => at < struck && tells(one));
  };
