import { parentPort, workerData } from 'node:worker_threads';
import { isSyncError, SyncError } from '@syncscope/protocol/errors';
import type { GroupDefinition } from '@syncscope/protocol/replay';
import type { SessionCode } from '@syncscope/protocol/shrink';
import type { SessionDefinition } from '@syncscope/protocol/sync';
import { type ReplayJob, runJob } from './replay-job.ts';

/** The thread in which somebody else's definition runs, so that it can be ended. */
interface Order {
  readonly module: string;
  readonly job: ReplayJob;
}

const { module, job } = workerData as Order;
try {
  const code = codeIn(await import(module), module);
  parentPort?.postMessage({ answer: await runJob(job, code) });
} catch (error) {
  const known = isSyncError(error) ? error : undefined;
  const message = error instanceof Error ? error.message : String(error);
  const code = known?.code ?? 'DEFINITION_FAILED';
  parentPort?.postMessage({ error: { code, message, origin: known?.origin ?? 'setting', place: known?.place ?? {} } });
}

/** @throws SyncError `DEFINITION_INVALID` */
function codeIn(exports: Readonly<Record<string, unknown>>, from: string): SessionCode {
  const { group, definition = exports.default } = exports;
  if (isGroup(group)) return { group };
  if (isDefinition(definition)) return { definition };
  const text = `${from} exports no session definition: export one as definition, with name, commands and reduce, or as group, with open`;
  throw new SyncError('DEFINITION_INVALID', text, { origin: 'setting' });
}

function isGroup(value: unknown): value is GroupDefinition {
  return typeof value === 'object' && value !== null && typeof (value as Partial<GroupDefinition>).open === 'function';
}

function isDefinition(value: unknown): value is SessionDefinition {
  if (typeof value !== 'object' || value === null) return false;
  const { name, commands, reduce } = value as Partial<SessionDefinition>;
  return typeof name === 'string' && typeof commands === 'object' && commands !== null && typeof reduce === 'function';
}
