import { parentPort, workerData } from 'node:worker_threads';
import { isSyncError, SyncError } from '@syncscope/protocol/errors';
import type { CrdtModel, GroupDefinition } from '@syncscope/protocol/replay';
import type { SessionDefinition } from '@syncscope/protocol/sync';
import { type AppCode, type ReplayJob, runJob } from './replay-job.ts';

/** The thread in which somebody else's definition runs, so that it can be ended. */
interface Order {
  readonly module: string;
  readonly job: ReplayJob;
  /** Whether somebody wants to know how far it is. */
  readonly isWatched: boolean;
}

const { module, job, isWatched } = workerData as Order;

const EVERY_MS = 100;
let toldAt = performance.now();
const tell = (done: number, total: number): void => {
  const now = performance.now();
  if (now - toldAt < EVERY_MS) return;
  toldAt = now;
  parentPort?.postMessage({ done, total });
};
try {
  const code = codeIn(await import(module), module);
  parentPort?.postMessage({ answer: await runJob(job, code, isWatched ? tell : undefined) });
} catch (error) {
  const known = isSyncError(error) ? error : undefined;
  const message = error instanceof Error ? error.message : String(error);
  const code = known?.code ?? 'DEFINITION_FAILED';
  parentPort?.postMessage({ error: { code, message, origin: known?.origin ?? 'setting', place: known?.place ?? {} } });
}

/** @throws SyncError `DEFINITION_INVALID` */
function codeIn(exports: Readonly<Record<string, unknown>>, from: string): AppCode {
  const { group, crdts, definition = exports.default } = exports;
  const code: AppCode = {
    ...(isGroup(group) ? { group } : {}),
    ...(isModels(crdts) ? { models: crdts } : {}),
    ...(isDefinition(definition) ? { definition } : {}),
  };
  if (Object.keys(code).length > 0) return code;
  const text = `${from} exports no session definition: export one as definition, with name, commands and reduce; of peers, as group, with open; of replicated data types, as crdts`;
  throw new SyncError('DEFINITION_INVALID', text, { origin: 'setting' });
}

function isGroup(value: unknown): value is GroupDefinition {
  return typeof value === 'object' && value !== null && typeof (value as Partial<GroupDefinition>).open === 'function';
}

function isModels(value: unknown): value is Readonly<Record<string, CrdtModel>> {
  return typeof value === 'object' && value !== null && Object.values(value).every((one) => typeof one === 'function');
}

function isDefinition(value: unknown): value is SessionDefinition {
  if (typeof value !== 'object' || value === null) return false;
  const { name, commands, reduce } = value as Partial<SessionDefinition>;
  return typeof name === 'string' && typeof commands === 'object' && commands !== null && typeof reduce === 'function';
}
