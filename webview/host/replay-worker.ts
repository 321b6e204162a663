import { parentPort, workerData } from 'node:worker_threads';
import { isSyncError, SyncError } from '@syncscope/protocol/errors';
import type { SessionDefinition } from '@syncscope/protocol/sync';
import { type ReplayJob, runJob } from './replay-job.ts';

/** The thread in which somebody else's definition runs, so that it can be ended. */
interface Order {
  readonly module: string;
  readonly job: ReplayJob;
}

const { module, job } = workerData as Order;
try {
  const definition = definitionIn(await import(module), module);
  parentPort?.postMessage({ answer: await runJob(job, definition) });
} catch (error) {
  const known = isSyncError(error) ? error : undefined;
  const message = error instanceof Error ? error.message : String(error);
  const code = known?.code ?? 'DEFINITION_FAILED';
  parentPort?.postMessage({ error: { code, message, origin: known?.origin ?? 'setting', place: known?.place ?? {} } });
}

/** @throws SyncError `DEFINITION_INVALID` */
function definitionIn(exports: Readonly<Record<string, unknown>>, from: string): SessionDefinition {
  const found = exports.definition ?? exports.default;
  if (isDefinition(found)) return found;
  const text = `${from} exports no session definition: export one as definition, with name, commands and reduce`;
  throw new SyncError('DEFINITION_INVALID', text, { origin: 'setting' });
}

function isDefinition(value: unknown): value is SessionDefinition {
  if (typeof value !== 'object' || value === null) return false;
  const { name, commands, reduce } = value as Partial<SessionDefinition>;
  return typeof name === 'string' && typeof commands === 'object' && commands !== null && typeof reduce === 'function';
}
