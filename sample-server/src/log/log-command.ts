import { existsSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { isSyncError, SyncError } from '@syncscope/protocol/errors';
import { type LogState, replay, stateAt } from '@syncscope/protocol/events';
import { SQLITE_LOG_VERSION, SqliteEventLog } from '@syncscope/protocol/node';
import { SCENARIOS } from '../scenarios/index.ts';
import type { Scenario } from '../scenarios/scenario.ts';

export const LOG_USAGE = `Usage: npm run -s server -- log COMMAND FILE [--json]

  verify FILE             checks every byte, replays everything, and compares every root
  backup FILE TO          copies all that is durable, also while a server runs on it
  replay FILE [--to V]    replays up to a version and prints the state

Exit codes: 0 in order, 1 not in order, 2 wrong usage.
`;

const EXIT = { fine: 0, failed: 1, usage: 2 };

/** What a verb found: for people, and as a document. */
interface Report {
  readonly lines: readonly string[];
  readonly document: Readonly<Record<string, unknown>>;
}

export interface LogOutput {
  out(text: string): void;
  error(text: string): void;
}

/** `server log …`: answers the exit code. */
export async function logCommand(args: readonly string[], output: LogOutput): Promise<number> {
  const wantsJson = args.includes('--json');
  try {
    const { verb, run } = parse(args);
    if (!run) {
      output.out(LOG_USAGE);
      return EXIT.fine;
    }
    const { lines, document } = await run();
    const schema = `syncscope/log-${verb}@1`;
    output.out(wantsJson ? `${JSON.stringify({ schema, ok: true, ...document })}\n` : `${lines.join('\n')}\n`);
    return EXIT.fine;
  } catch (error) {
    if (!isSyncError(error)) throw error;
    const { code, message, place } = error;
    if (wantsJson)
      output.out(`${JSON.stringify({ schema: 'syncscope/log-error@1', ok: false, code, message, place })}\n`);
    output.error(`${code}: ${message}\n${code === 'USAGE' ? `\n${LOG_USAGE}` : ''}`);
    return error.origin === 'setting' ? EXIT.usage : EXIT.failed;
  }
}

function parse(args: readonly string[]): { readonly verb: string; readonly run?: () => Promise<Report> | Report } {
  const { values, positionals } = parsed(args);
  const [verb = '', file, target, ...more] = positionals;
  if (values.help) return { verb };
  if (file === undefined || more.length > 0) throw usage('name a command and a file');
  if (target !== undefined && verb !== 'backup') throw usage(`${verb} takes one file`);
  if (values.to !== undefined && verb !== 'replay') throw usage('--to belongs to replay');
  switch (verb) {
    case 'verify':
      return { verb, run: () => reading(file, (log, scenario) => verify(log, scenario)) };
    case 'replay':
      return { verb, run: () => reading(file, (log, scenario) => show(log, scenario, version(values.to))) };
    case 'backup':
      if (target === undefined) throw usage('backup takes the log and where the copy is to be');
      return { verb, run: () => copy(file, target) };
    default:
      throw usage(`there is no ${JSON.stringify(verb)}`);
  }
}

function parsed(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: { json: { type: 'boolean' }, to: { type: 'string' }, help: { type: 'boolean', short: 'h' } },
    });
  } catch (error) {
    throw usage(error instanceof Error ? error.message : String(error));
  }
}

function version(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (!/^\d{1,15}$/.test(text)) throw usage(`--to ${text}: a version is a whole number`);
  return Number(text);
}

function reading<T>(file: string, read: (log: SqliteEventLog, scenario: Scenario) => T): T {
  const log = new SqliteEventLog(file, { readOnly: true });
  try {
    return read(log, scenarioOf(log));
  } finally {
    log.close();
  }
}

function scenarioOf({ settings, path }: SqliteEventLog): Scenario {
  const name = settings.scenario ?? '';
  const scenario = Object.hasOwn(SCENARIOS, name) ? SCENARIOS[name] : undefined;
  if (scenario) return scenario;
  const text = `${path} is of the scenario ${JSON.stringify(name)}, whose rules are not here: there is ${Object.keys(SCENARIOS).join(', ')}`;
  throw new SyncError('SCENARIO_UNKNOWN', text, { origin: 'state', place: { file: path } });
}

function verify(log: SqliteEventLog, { definition }: Scenario): Report {
  let [committed, refused, adopted] = [0, 0, 0];
  const state = replay(log, definition.reduce, (_version, _root, entry) => {
    if (entry?.outcome === 'committed') committed++;
    if (entry?.outcome === 'refused') refused++;
    if (entry?.outcome === 'adopted') adopted++;
  });
  const facts = { ...factsOf(log), ...standingOf(state), committed, refused, adopted };
  return {
    lines: [
      `${log.path} is in order: format ${facts.format}, session ${facts.session} of ${facts.scenario}`,
      `entries ${log.base + 1} to ${log.last}: ${committed} committed, ${refused} refused, ${adopted} adopted`,
      `version ${state.version}, root ${state.root.hash}`,
    ],
    document: facts,
  };
}

function show(log: SqliteEventLog, { definition }: Scenario, to: number | undefined): Report {
  const state = to === undefined ? replay(log, definition.reduce) : stateAt(log, definition.reduce, to);
  const records = [...state.root.entries()].sort(([a], [b]) => (a < b ? -1 : 1));
  return {
    lines: [
      `version ${state.version}, root ${state.root.hash}, ${records.length} records`,
      ...records.map(([key, record]) => `${key} ${JSON.stringify(record)}`),
    ],
    document: { ...factsOf(log), ...standingOf(state), records: Object.fromEntries(records) },
  };
}

async function copy(file: string, target: string): Promise<Report> {
  if (existsSync(target)) {
    throw new SyncError('BACKUP_EXISTS', `${target} is there already: name another`, {
      origin: 'state',
      place: { file: target },
    });
  }
  const log = new SqliteEventLog(file, { readOnly: true });
  try {
    await log.backup(target);
  } finally {
    log.close();
  }
  // What was copied is what counts.
  const backup = new SqliteEventLog(target, { readOnly: true });
  try {
    const facts = { ...factsOf(backup), file: target };
    return { lines: [`${target} has the entries ${backup.base + 1} to ${backup.last}`], document: facts };
  } finally {
    backup.close();
  }
}

function factsOf(log: SqliteEventLog) {
  const { session = '', scenario = '' } = log.settings;
  return { file: log.path, format: SQLITE_LOG_VERSION, session, scenario, base: log.base, last: log.last };
}

function standingOf({ version, root, writers }: LogState) {
  return {
    version,
    root: root.hash,
    writers: [...writers.values()].map(({ writer, counter }) => ({ writer, counter })),
  };
}

function usage(what: string): SyncError {
  return new SyncError('USAGE', what, { origin: 'setting' });
}
