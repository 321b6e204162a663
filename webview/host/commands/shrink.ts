import { execFile } from 'node:child_process';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { basename, join, resolve } from 'node:path';
import { SyncError } from '@syncscope/protocol/errors';
import {
  type FindingIdentity,
  identityText,
  type Shrunk,
  type TestRunner,
  testFileText,
} from '@syncscope/protocol/shrink';
import { printDocument } from '../json.ts';
import { count, escapeText, facts } from '../print.ts';
import { triedProgress } from '../progress.ts';
import { type DefinitionOptions, replayJob } from '../replay-thread.ts';

export const TEST_RUNNERS = ['node', 'vitest'] as const satisfies readonly TestRunner[];

export interface ShrinkCommandOptions extends DefinitionOptions {
  readonly output: string;
  /** From 1. */
  readonly finding?: number;
  readonly runner: TestRunner;
  readonly json?: boolean;
}

const DEFAULT_TIMEOUT = 60;
/** Seconds beyond the time in which somebody else's code may come to the end of one attempt, before its thread is ended. */
const GRACE = 30;
/** How often a process of its own has to come to the finding again. */
const CHECKS = 2;

/** `shrink`: the smallest capture that has the same finding, with a test of it. Answers the exit code: 0 shrunk, 1 nothing is found. */
export async function shrink(file: string, options: ShrinkCommandOptions): Promise<number> {
  const { output, finding = 1, runner, timeout = DEFAULT_TIMEOUT, json } = options;
  const job = { kind: 'shrink', file, finding: finding - 1, seconds: timeout } as const;
  const answer = await replayJob(job, { ...options, timeout: timeout + GRACE }, triedProgress());
  if (answer.kind !== 'shrink') throw new TypeError('a smaller capture was asked for');
  const { result: shrunk } = answer;
  if (!shrunk) {
    if (json) printDocument('shrink', { file, finding: null });
    else console.log(escapeText(`${file}: nothing is found, so there is nothing to shrink to`));
    return 1;
  }
  const files = await written(output, shrunk, file, runner);
  const { capture: _, session: __, ...facts } = shrunk;
  if (json) printDocument('shrink', { file, ...facts, ...files, checks: CHECKS });
  else console.log(describe(file, shrunk, files, runner));
  return 0;
}

interface WrittenFiles {
  readonly capture: string;
  readonly test: string;
  /** The session that can be run again, or null. */
  readonly session: string | null;
}

/** @throws SyncError `OUTPUT_EXISTS`, `SHRINK_UNSTABLE` */
async function written(folder: string, shrunk: Shrunk, from: string, runner: TestRunner): Promise<WrittenFiles> {
  await mkdir(folder, { recursive: true }).catch((cause: unknown) => refuse(folder, cause));
  const capture = join(folder, 'finding.mcap');
  const test = join(folder, 'finding.test.mjs');
  const session = shrunk.session ? join(folder, 'session.mcap') : null;
  const made: string[] = [];
  const add = async (path: string, content: Uint8Array | string): Promise<void> => {
    await writeFile(path, content, { flag: 'wx' }).catch((cause: unknown) => refuse(path, cause));
    made.push(path);
  };
  try {
    await add(capture, shrunk.capture);
    for (let check = 0; check < CHECKS; check++) await checkAfresh(capture, shrunk.finding);
    await add(test, testFileText(shrunk.finding, basename(capture), basename(from), runner));
    if (session && shrunk.session) await add(session, shrunk.session);
  } catch (error) {
    for (const path of made) await rm(path, { force: true });
    throw error;
  }
  return { capture, test, session };
}

function refuse(path: string, cause: unknown): never {
  throw new SyncError('OUTPUT_EXISTS', `${path} is there already or cannot be written; name a new folder`, {
    origin: 'setting',
    place: { file: path },
    cause,
  });
}

/** Has a process of its own look for the finding, as whoever gets the file will. @throws SyncError `SHRINK_UNSTABLE` */
async function checkAfresh(capture: string, wanted: FindingIdentity): Promise<void> {
  const verb = wanted.by === 'diagnosis' ? 'diagnose' : 'verify';
  const answer = await runAfresh([verb, capture, '--json']);
  if (identitiesIn(answer, wanted.by).some((one) => isWanted(one, wanted))) return;
  const text = `the shrunk capture showed ${identityText(wanted)} here, but not to a process of its own: this is a fault of syncscope`;
  throw new SyncError('SHRINK_UNSTABLE', text, { origin: 'capture', place: { file: capture } });
}

/** Standard output of this same command with other arguments; empty where it could not be started. */
function runAfresh(args: readonly string[]): Promise<string> {
  return new Promise((resolve) => {
    const command = [...process.execArgv, process.argv[1] ?? '', ...args];
    execFile(process.execPath, command, { maxBuffer: 256 * 1024 * 1024 }, (_, stdout) => resolve(stdout));
  });
}

interface ToldFinding {
  readonly class?: string;
  readonly replica?: string;
  readonly key?: string;
  readonly field?: string;
  readonly value?: { readonly key?: string; readonly field?: string };
}

/** From the documents `diagnose@1` and `verify@1`, which are our own. */
function identitiesIn(text: string, by: FindingIdentity['by']): readonly ToldFinding[] {
  if (text === '') return [];
  const document = JSON.parse(text) as {
    readonly findings?: readonly ToldFinding[];
    readonly divergence?: ToldFinding;
  };
  if (by === 'diagnosis') return (document.findings ?? []).map((one) => ({ ...one, ...one.value }));
  return document.divergence ? [document.divergence] : [];
}

function isWanted(one: ToldFinding, { class: name, replica, key, field }: FindingIdentity): boolean {
  return one.class === name && one.replica === replica && one.key === key && one.field === field;
}

function describe(file: string, shrunk: Shrunk, { capture, test, session }: WrittenFiles, runner: TestRunner): string {
  const { finding, before, after, tried, isMinimal } = shrunk;
  const head = `${file}: ${identityText(finding)} is still there in ${count(after.records, 'record')} of ${before.records.toLocaleString('en-US')}`;
  const lines = facts([
    ['messages', `${after.messages} of ${before.messages}`],
    ['mutations', `${after.commits} of ${before.commits}`],
    ['tried', count(tried, 'capture')],
    ['smallest', isMinimal ? 'yes: nothing more can be left out' : 'not known: the time was over'],
    ['capture', capture],
    ['test', test],
    ...(session ? ([['session', `${session}, which can be run again`]] as const) : []),
  ]);
  const run = runner === 'node' ? `node --test ${test}` : `vitest run ${test}`;
  const hint = findsLibrary(test) ? '' : `\n(in a project with ${LIBRARY}: from this folder the test does not find it)`;
  return `${escapeText(head)}\n\n${lines}\n\n${escapeText(run)}${hint}`;
}

const LIBRARY = '@syncscope/protocol';

/** Whether the written test can import what it needs from where it is. */
function findsLibrary(test: string): boolean {
  try {
    createRequire(resolve(test)).resolve(`${LIBRARY}/capture`);
    return true;
  } catch {
    return false;
  }
}
