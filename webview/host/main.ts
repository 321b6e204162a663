import { type ErrorPlace, isSyncError, type SyncError } from '@syncscope/protocol/errors';
import { PLAY_ORDERS } from '@syncscope/protocol/replay';
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import { caretLines, ExpressionFault } from './caret.ts';
import { blame } from './commands/blame.ts';
import { compare } from './commands/compare.ts';
import { CONVERGENCE_KINDS, converge } from './commands/converge.ts';
import { diagnose } from './commands/diagnose.ts';
import { diff } from './commands/diff.ts';
import {
  doctor,
  EXPORT_FORMATS,
  exportCapture,
  filter,
  IMPORT_FORMATS,
  importCapture,
  merge,
  recover,
  redact,
} from './commands/exchange.ts';
import { info } from './commands/info.ts';
import { inspect } from './commands/inspect.ts';
import { play } from './commands/play.ts';
import { record } from './commands/record.ts';
import { replay } from './commands/replay.ts';
import { sessions } from './commands/sessions.ts';
import { shrink, TEST_RUNNERS } from './commands/shrink.ts';
import { state } from './commands/state.ts';
import { verify } from './commands/verify.ts';
import { EDIT_OPTIONS, type EditWord, whatif } from './commands/whatif.ts';
import { printDocument } from './json.ts';
import { escapeText } from './print.ts';
import { clearProgress } from './progress.ts';

/** The `syncscope` command. Standard output carries the answer and nothing else; what goes wrong is told on stderr. */

export const EXIT = { unreadable: 2, internal: 70 } as const;
const JSON_OPTION = ['--json', 'print one JSON document and nothing else'] as const;

/** Does what a command line asks for. Answers the exit code; never throws. */
export async function runCommand(args: readonly string[]): Promise<number> {
  const { program, exitCode } = commands();
  try {
    await program.parseAsync([...args], { from: 'user' });
    return exitCode();
  } catch (error) {
    return report(error, args.includes('--json'));
  }
}

/** Takes the exit code of the verb that has run. */
type End = (code: number) => void;

/** All verbs, and the exit code of the one that has run. */
function commands() {
  let code = 0;
  const end: End = (one) => {
    code = one;
  };
  const program = new Command('syncscope')
    .description('See where two replicas of a real-time app disagree, since when, and why.')
    .exitOverride()
    .configureOutput({ outputError: (text, write) => write(escapeText(text.trimEnd()) + '\n') })
    .showHelpAfterError('(syncscope --help lists the commands)');

  addSessions(program, end);
  addReading(program, end);
  addReplay(program, end);
  addWhatIf(program);
  addAnalysis(program, end);
  addExport(program);
  addUpkeep(program, end);
  return { program, exitCode: () => code };
}

/** Sessions that run. */
function addSessions(program: Command, end: End): void {
  program
    .command('sessions')
    .description('running sessions, found through their discovery files')
    .option(...JSON_OPTION)
    .action(sessions);

  program
    .command('record')
    .description('record a running session to a capture until it ends, the time is over, or Ctrl-C')
    .option('--session <id>', 'a running session, see: syncscope sessions')
    .option('--url <url>', 'the address of a session, such as http://127.0.0.1:4000')
    .option('--token <token>', 'the token of the session at --url')
    .option('--seconds <n>', 'stop after so many seconds', positive)
    .requiredOption('-o, --output <file>', 'the capture to write, such as session.mcap')
    .option('--force', 'also over a file that is there')
    .option('--redact-path <key.field>', 'also secret, such as player/*.email; repeatable', gathered, [])
    .option('--redact-pattern <regexp>', 'also secret, wherever it stands; repeatable', gathered, [])
    .option('--unredacted', 'also what is named like a secret, such as passwords and tokens')
    .option(...JSON_OPTION)
    .action(async (options) => {
      end(await record(options));
    });

  program
    .command('inspect')
    .description('serve the inspector on a capture, a session, or the list of running sessions, and print its URL')
    .argument('[file or url]')
    .option('--token <token>', 'the token of the session at the URL')
    .option('--port <port>', 'a port of your choice instead of a free one', port)
    .option('--inject', 'let the inspector ask sessions of the list for faults')
    .option(...JSON_OPTION)
    .action(inspect);
}

/** What a capture says. */
function addReading(program: Command, end: End): void {
  program
    .command('info')
    .description('what a capture holds: session, replicas, versions, kinds, time range, loss')
    .argument('<file>')
    .option(...JSON_OPTION)
    .action(info);

  program
    .command('state')
    .description('the state of a replica at a moment')
    .argument('<file>')
    .requiredOption('--replica <id>', 'whose state')
    .option('--at <moment>', 'a version, 118, a record, seq:4211, or a time, 12.5s; the end by default')
    .option(...JSON_OPTION)
    .action(state);

  program
    .command('diff')
    .description('keys and fields in which two replicas, or one at two moments, differ')
    .argument('<file>')
    .requiredOption('--left <replica[@moment]>', 'such as server@118')
    .requiredOption('--right <replica[@moment]>', 'such as bot-2@12.5s')
    .option(...JSON_OPTION)
    .action(diff);

  program
    .command('diagnose')
    .description(
      'every divergence in a capture, with the record that caused it and why; exit 0 none, 1 some, 3 none but records are missing',
    )
    .argument('<file>')
    .option(...JSON_OPTION)
    .action(async (file, options) => {
      end(await diagnose(file, options));
    });

  program
    .command('verify')
    .description('replay a capture; exit 0 agrees, 1 diverged, 2 cannot be read, 3 read but something is missing')
    .argument('<file>')
    .option(...JSON_OPTION)
    .action(async (file, options) => {
      end(await verify(file, options));
    });
}

/** Running a session again. */
function addReplay(program: Command, end: End): void {
  withDefinition(
    program
      .command('replay')
      .description(
        'run a capture again through the state machines; exit 0 every record came out again, 1 one did not, 3 some were not run',
      )
      .argument('<file>')
      .option('--from <position>', 'compare from this position on', whole)
      .option('--to <position>', 'stop behind this position', whole),
  ).action(async (file, options) => {
    end(await replay(file, options));
  });

  program
    .command('play')
    .description('play the clients of a capture against a live server; exit 0 it answers as recorded, 1 otherwise')
    .argument('<file>')
    .requiredOption('--url <url>', 'where clients connect, such as ws://127.0.0.1:4000/sync')
    .requiredOption('--token <token>', 'what clients show, as the server was started with')
    .option('--session <name>', 'the session; what the server says by default')
    .option('--replica <id>', 'play this client only; repeatable', gathered, [])
    .addOption(
      new Option(
        '--order <order>',
        'send what was sent at once at once (seen), or of several clients one after the other (recorded)',
      )
        .choices(PLAY_ORDERS)
        .default('seen'),
    )
    .option(
      '--speed <n>',
      'nothing sooner than recorded, at so many times its speed; as soon as possible by default',
      factor,
    )
    .option('--patience <seconds>', 'how long to wait where nothing comes; 10 by default', positive)
    .option(...JSON_OPTION)
    .action(async (file, options) => {
      end(await play(file, options));
    });
}

/** Running it with messages otherwise. */
function addWhatIf(program: Command): void {
  const editWords: EditWord[] = [];
  const whatIf = withDefinition(
    program
      .command('whatif')
      .description('run a capture again with one or more messages otherwise, and tell what comes of it')
      .argument('<file>')
      .requiredOption(
        '--at <seq>',
        'the seq of the send or receive record of the message; repeatable, each before what is done to it',
        whole,
      )
      .option('--drop', 'it never arrives')
      .option('--delay <ms>', 'it arrives so many milliseconds later; one that never arrived does so', whole)
      .option('--duplicate', 'it arrives twice')
      .option('--swap <seq>', 'it arrives when that one did, and that one when it did', whole)
      .option('--edit <path=json>', 'a field of it has another value, such as changes.0.fields.x=1')
      .option('-o, --output <file>', 'write the branch as a capture'),
  ).action((file, options) => whatif(file, options, editWords));
  // What is done belongs to the message before it, so the order counts.
  for (const option of EDIT_OPTIONS) {
    whatIf.on(`option:${option}`, (value?: string | null) => editWords.push([option, value ?? '']));
  }
}

/** What a capture says of values, orders and other captures. */
function addAnalysis(program: Command, end: End): void {
  program
    .command('blame')
    .description('every record that touched a value, who wrote it, and why it stands')
    .argument('<file>')
    .argument('<key[.field]>', 'such as item/lamp.owner')
    .option('--replica <id>', 'whose value; the authority by default')
    .option('--at <moment>', 'a version, 118, a record, seq:4211, or a time, 12.5s; the end by default')
    .option(...JSON_OPTION)
    .action(blame);

  program
    .command('compare')
    .description('two captures, aligned by what happened; exit 0 alike, 1 not')
    .argument('<left>')
    .argument('<right>')
    .option(...JSON_OPTION)
    .action(async (left, right, options) => {
      end(await compare(left, right, options));
    });

  withDefinition(
    program
      .command('converge')
      .description(
        'the operations of a capture in many orders that causes allow; exit 0 one state, 1 the order matters',
      )
      .argument('<file>')
      .option('--orders <n>', 'how many; 50 by default', counting)
      .option('--seed <n>', 'from which the orders are drawn', whole)
      .addOption(new Option('--kind <kind>', 'of a capture with several').choices(CONVERGENCE_KINDS)),
  ).action(async (file, options) => {
    end(await converge(file, options));
  });

  withDefinition(
    program
      .command('shrink')
      .description('the smallest capture with the same finding, and a test of it; exit 0 shrunk, 1 nothing is found')
      .argument('<file>')
      .requiredOption('-o, --output <folder>', 'where the test and its captures are written')
      .option('--finding <n>', 'which of those that diagnose tells; the first, 1, by default', counting)
      .addOption(new Option('--runner <runner>', 'what runs the test').choices(TEST_RUNNERS).default('node')),
    'when to stop with what is smallest then; 60 by default',
  ).action(async (file, options) => {
    end(await shrink(file, options));
  });
}

/** Captures made into something else, and of it. */
function addExport(program: Command): void {
  program
    .command('export')
    .description('a capture as text: JSON lines, CSV, a ShiViz log or an HTTP archive')
    .argument('<file>')
    .addOption(new Option('--format <format>', 'what to write').choices(EXPORT_FORMATS).makeOptionMandatory())
    .option('--filter <expression>', 'only what passes, see docs/filter.md')
    .option('-o, --output <file>', 'a new file instead of standard output')
    .option('--redact', 'redact it on the way, as redact does')
    .option('--path <key.field>', 'with --redact: such as player/*.email; repeatable', gathered, [])
    .option('--pattern <regexp>', 'with --redact: what is secret wherever it stands; repeatable', gathered, [])
    .option('--unredacted', 'also where it may hold secrets')
    .option('--json', 'with -o: print one JSON document and nothing else')
    .action(exportCapture);

  program
    .command('import')
    .description('a capture made of a log with vector clocks (ShiViz) or of the WebSockets in an HTTP archive')
    .argument('<file>')
    .addOption(new Option('--format <format>', 'what the file is').choices(IMPORT_FORMATS).makeOptionMandatory())
    .option('--pattern <regexp>', 'of a log: with the groups host, clock and event')
    .requiredOption('-o, --output <file>', 'the capture to write')
    .option(...JSON_OPTION)
    .action(importCapture);

  program
    .command('filter')
    .description('a capture of the records that pass an expression, and of those that states need')
    .argument('<file>')
    .argument('<expression>', 'see docs/filter.md')
    .requiredOption('-o, --output <file>', 'the capture to write')
    .option('--strict', 'only what passes, even where states cannot be shown then')
    .option(...JSON_OPTION)
    .action(filter);
}

/** Captures made of captures. */
function addUpkeep(program: Command, end: End): void {
  program
    .command('redact')
    .description(
      'a capture without secrets: fields named like one, tokens, and what rules say; equal values stay equal',
    )
    .argument('<file>')
    .requiredOption('-o, --output <file>', 'the capture to write')
    .option('--path <key.field>', 'such as player/*.email; repeatable', gathered, [])
    .option('--pattern <regexp>', 'what is secret wherever it stands; repeatable', gathered, [])
    .option('--key <text>', 'makes the same pseudonyms again; a random one by default')
    .option(...JSON_OPTION)
    .action(redact);

  program
    .command('merge')
    .description('captures of several processes of one session as one, in causal order')
    .argument('<files...>')
    .requiredOption('-o, --output <file>', 'the capture to write')
    .option(...JSON_OPTION)
    .action(merge);

  program
    .command('recover')
    .description('what can be read of a damaged capture; exit 3 where something is lost')
    .argument('<file>')
    .requiredOption('-o, --output <file>', 'the capture to write')
    .option(...JSON_OPTION)
    .action(async (file, options) => {
      end(await recover(file, options));
    });

  program
    .command('doctor')
    .description('what is wrong with a capture, or unusual; exit 3 where there is a warning')
    .argument('<file>')
    .option(...JSON_OPTION)
    .action(async (file, options) => {
      end(await doctor(file, options));
    });
}

/** Tells what went wrong, also as JSON where that was asked for, and answers the exit code. */
function report(error: unknown, isJson: boolean): number {
  clearProgress();
  // Usage errors have been printed; help and version are none.
  if (error instanceof CommanderError) {
    if (error.exitCode === 0) return 0;
    printError(isJson, 'USAGE', error.message.replace(/^error: /, ''), {});
    return EXIT.unreadable;
  }
  if (error instanceof ExpressionFault) {
    const code = report(error.cause, isJson);
    if (isSyncError(error.cause)) console.error(caretLines(error.expression, error.cause.place.offset ?? 0));
    return code;
  }
  if (isSystemError(error)) {
    // A disk that is full, a file that went away: no fault of this program.
    console.error(`SYSTEM_FAILED: ${escapeText(error.message)}`);
    printError(isJson, 'SYSTEM_FAILED', error.message, error.path === undefined ? {} : { file: error.path });
    return EXIT.unreadable;
  }
  if (!isSyncError(error)) {
    console.error(escapeStack(error));
    printError(isJson, 'INTERNAL', error instanceof Error ? error.message : String(error), {});
    return EXIT.internal;
  }
  console.error(`${error.code}: ${escapeText(error.message)}${place(error)}`);
  printError(isJson, error.code, error.message, error.place);
  return EXIT.unreadable;
}

/** What the operating system refused. */
function isSystemError(error: unknown): error is NodeJS.ErrnoException {
  return !isSyncError(error) && error instanceof Error && 'syscall' in error && 'errno' in error;
}

/** As JSON, where that was asked for. */
function printError(isJson: boolean, code: string, message: string, place: ErrorPlace): void {
  if (isJson) printDocument('error', { error: { code, message, place } });
}

function place({ place: { file, offset }, message }: SyncError): string {
  const parts = [
    file !== undefined && !message.includes(file) ? file : '',
    offset !== undefined && !new RegExp(`\\boffset ${offset}\\b`).test(message) ? `offset ${offset}` : '',
  ].filter((part) => part !== '');
  return parts.length > 0 ? ` (${escapeText(parts.join(', '))})` : '';
}

function escapeStack(error: unknown): string {
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return text.split('\n').map(escapeText).join('\n');
}

/** What the verbs have in common that run a session again. */
function withDefinition<T extends Command>(command: T, timeout = 'how long it may take; 60 by default'): T {
  command
    .option(
      '--definition <module>',
      'a module that exports the definition of the session, to run its commands and reducers',
    )
    .option('--trust', 'its code may run here')
    .option('--timeout <seconds>', timeout, positive)
    .option(...JSON_OPTION);
  return command;
}

function whole(text: string): number {
  const number = Number(text);
  if (!/^\d{1,15}$/.test(text)) throw new InvalidArgumentError('It must be a whole number from 0 on.');
  return number;
}

function counting(text: string): number {
  const number = Number(text);
  if (!/^[1-9]\d{0,6}$/.test(text)) throw new InvalidArgumentError('It must be a whole number from 1 to 9999999.');
  return number;
}

/** All values of an option that may be repeated. */
function gathered(text: string, before: readonly string[]): string[] {
  return [...before, text];
}

function factor(text: string): number {
  const number = Number(text);
  if (!(number >= 0.01 && number <= 1_000)) throw new InvalidArgumentError('It must be a number from 0.01 to 1000.');
  return number;
}

function positive(text: string): number {
  const number = Number(text);
  // A timer holds no more; a longer one would fire at once.
  if (!(number > 0 && number <= 2_000_000)) {
    throw new InvalidArgumentError('It must be a number of seconds above 0, at most 2000000.');
  }
  return number;
}

function port(text: string): number {
  const number = Number(text);
  if (!/^\d+$/.test(text) || number > 65_535) throw new InvalidArgumentError('It must be a port from 0 to 65535.');
  return number;
}
