import { parseArgs } from 'node:util';
import { isSyncError, SyncError } from '@syncscope/protocol/errors';
import { checkRules } from '@syncscope/protocol/exchange';
import type { FlightRecorderSettings } from '@syncscope/protocol/node';
import { BUS_SYNTAX } from './bus/index.ts';
import { FAULT_SYNTAX, parseFaults } from './faults/specs.ts';
import { SCENARIO_NAMES } from './scenarios/index.ts';
import { BOTS_MAX } from './server.ts';
import type { SessionOptions } from './session.ts';

export const USAGE = `Usage: npm run -s server -- [options]

  --scenario NAME   ${SCENARIO_NAMES.join(', ')} (default adventure)
  --view VIEW       all: each client gets the whole state (default); room: in the adventure, what its room shows
  --bots N          players that play by themselves, 0 to ${BOTS_MAX} (default 4); of craps (5) and call (4) the peers
  --idle            the server does nothing of its own accord, such as tidying up: only clients do
  --guest-book      of the adventure: bots leave their addresses, which are marked as secret, so that redaction has work to do
  --compress N      of craps and call: all times N times shorter, 1 to 1000 (default: call 10)
  --port P          of the server, 0 to 65535; 0 takes a free one and prints it (default 0)
  --seed S          a whole number; the same one gives the same world and bots (default: a new one, printed)
  --fault SPEC      repeatable: ${FAULT_SYNTAX.join('\n                    ')}
  --log FILE        keeps the session: it survives kill -9, and the next server on the file goes on
  --bus URL         shares the session with other servers, which name the same bus, --session and --token:
                    ${BUS_SYNTAX}
  --session NAME    of the session (default: a new one, or that of the log)
  --durable         refuse to start unless what is acknowledged survives a crash of the machine
  --wait N          seconds to wait for a bus that is down (default 0)
  --no-verify-reducer     do not run each event twice to refuse what would not come out the same again
  --flight-recorder DIR   keeps the last 30 seconds in memory, and saves them there, redacted, when a client differs
  --redact-path KEY.FIELD, --redact-pattern REGEXP   what is secret in them beside what is called so; repeatable
  --unredacted      the flight recorder saves secrets, too
  --seconds N       end after so long
  --host H          where clients may connect (default 127.0.0.1); any other needs --token
  --token T         what clients must show, 16 characters or more (default: a new one)
  --assets DIR      the folder of the built inspector page
  --help            this text

  log verify|backup|replay FILE   looks into a log: npm run -s server -- log --help
  probe --url URL --token T       measures a session from outside: npm run -s server -- probe --help
`;

export type CommandLine =
  | { readonly help: true }
  | { readonly help: false; readonly options: SessionOptions; readonly seconds: number | undefined };

const SECONDS_MAX = 1_000_000;
const SEED_MAX = 2 ** 32 - 1;
const TOKEN_MIN_LENGTH = 16;

/**
 * Reads the arguments after the program's name.
 * @throws SyncError `USAGE`, which says what is allowed
 */
export function parseCommandLine(args: readonly string[]): CommandLine {
  const values = parse(args);
  if (values.help) return { help: true };
  const { scenario, host, token, assets } = values;
  if (scenario !== undefined && !SCENARIO_NAMES.includes(scenario)) {
    throw usage(`--scenario ${scenario}: there is ${SCENARIO_NAMES.join(', ')}`);
  }
  if (token !== undefined && token.length < TOKEN_MIN_LENGTH) {
    throw usage(`--token: at least ${TOKEN_MIN_LENGTH} characters, or it can be guessed`);
  }
  const wait = amount('--wait', values.wait);
  const options = {
    scenario,
    view: viewName(values.view),
    log: values.log,
    bus: values.bus,
    session: sessionName(values.session),
    durable: values.durable,
    patience: wait === undefined ? undefined : wait * 1_000,
    bots: whole('--bots', values.bots, BOTS_MAX),
    idle: values.idle,
    guestBook: values['guest-book'],
    port: whole('--port', values.port, 65_535),
    compress: whole('--compress', values.compress, 1_000),
    seed: whole('--seed', values.seed, SEED_MAX),
    host,
    token,
    assets,
    flightRecorder: flightRecorder(values),
    verifyReducer: values['no-verify-reducer'] ? false : undefined,
    faults: values.fault?.flatMap((text) => asUsage('--fault', () => parseFaults(text))),
  };
  const given = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
  return { help: false, options: given, seconds: amount('--seconds', values.seconds) };
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      strict: true,
      options: {
        scenario: { type: 'string' },
        view: { type: 'string' },
        bots: { type: 'string' },
        idle: { type: 'boolean' },
        'guest-book': { type: 'boolean' },
        port: { type: 'string' },
        seed: { type: 'string' },
        compress: { type: 'string' },
        fault: { type: 'string', multiple: true },
        seconds: { type: 'string' },
        log: { type: 'string' },
        bus: { type: 'string' },
        session: { type: 'string' },
        durable: { type: 'boolean' },
        wait: { type: 'string' },
        host: { type: 'string' },
        token: { type: 'string' },
        assets: { type: 'string' },
        'flight-recorder': { type: 'string' },
        'redact-path': { type: 'string', multiple: true },
        'redact-pattern': { type: 'string', multiple: true },
        unredacted: { type: 'boolean' },
        'no-verify-reducer': { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    }).values;
  } catch (error) {
    throw usage(error instanceof Error ? error.message : String(error));
  }
}

function flightRecorder(values: ReturnType<typeof parse>): FlightRecorderSettings | undefined {
  const { 'flight-recorder': folder, 'redact-path': paths = [], 'redact-pattern': patterns = [], unredacted } = values;
  const hasRules = paths.length + patterns.length > 0;
  if (folder === undefined) {
    if (hasRules || unredacted)
      throw usage('--redact-path, --redact-pattern and --unredacted go with --flight-recorder');
    return undefined;
  }
  if (hasRules && unredacted) throw usage('--unredacted redacts nothing: leave it out, or the rules of what to redact');
  asUsage('--redact-path or --redact-pattern', () => checkRules({ paths, patterns }));
  return { folder, redaction: unredacted ? false : { paths, patterns } };
}

function viewName(text: string | undefined): 'all' | 'room' | undefined {
  if (text === undefined || text === 'all' || text === 'room') return text;
  throw usage(`--view ${text}: all or room`);
}

function sessionName(text: string | undefined): string | undefined {
  if (text === undefined || /^[\w.-]{1,60}$/.test(text)) return text;
  throw usage('--session: up to 60 letters, digits, dots, dashes and underscores');
}

function whole(name: string, text: string | undefined, most: number): number | undefined {
  if (text === undefined) return undefined;
  const value = /^\d{1,10}$/.test(text) ? Number(text) : Number.NaN;
  if (!(value <= most)) throw usage(`${name} ${text}: a whole number from 0 to ${most}`);
  return value;
}

function amount(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const value = /^\d{1,7}(\.\d{1,3})?$/.test(text) ? Number(text) : Number.NaN;
  if (!(value > 0 && value <= SECONDS_MAX)) throw usage(`${name} ${text}: a number of seconds up to ${SECONDS_MAX}`);
  return value;
}

function asUsage<T>(name: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (isSyncError(error)) throw usage(`${name} ${error.message}`);
    throw error;
  }
}

function usage(what: string): SyncError {
  return new SyncError('USAGE', what, { origin: 'setting' });
}
