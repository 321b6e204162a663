import { parseArgs } from 'node:util';
import { isSyncError, SyncError } from '@syncscope/protocol/errors';
import { NETWORK_PRESETS, type NetworkPreset } from '@syncscope/protocol/trace';
import { BUDGETS, parseBudgets } from './budgets.ts';
import { type ProbeOptions, type ProbeReport, probe } from './probe.ts';

const NETWORKS = ['healthy', ...NETWORK_PRESETS.map((name) => name.replaceAll(' ', '-').toLowerCase())];

export const PROBE_USAGE = `Usage: npm run -s server -- probe --url URL --token T [options]

  --url URL       ws://HOST:PORT/sync probes WebSockets, http://HOST:PORT event streams
  --token T       what the server was started with (--token)
  --clients N     2 to 50 (default 3)
  --seconds N     how long they play (default 10)
  --network NAME  between them and the server: ${NETWORKS.join(', ')} (default healthy)
  --budget LIST   NAME=NUMBER, with commas between: ${Object.entries(BUDGETS)
    .map(([name, value]) => `${name}=${value}`)
    .join(',')}
  --seed S        of what they do and of what the network loses (default 1)
  --json          the report as JSON

Milliseconds and bytes a second. Ends with 0 where every budget is met, 1 where one is missed, 2 where nothing could be measured.
`;

const EXIT_MISSED = 1;
const EXIT_NOTHING = 2;

interface Output {
  readonly out: (text: string) => void;
  readonly error: (text: string) => void;
}

/** `probe …`: answers the exit code. */
export async function probeCommand(args: readonly string[], { out, error }: Output): Promise<number> {
  try {
    const asked = parseProbe(args);
    if (asked === 'help') {
      out(PROBE_USAGE);
      return 0;
    }
    const report = await probe(asked.options);
    out(asked.isJson ? `${JSON.stringify(report, null, 2)}\n` : reportText(report));
    return report.isMet ? 0 : EXIT_MISSED;
  } catch (thrown) {
    if (!isSyncError(thrown)) throw thrown;
    error(`${thrown.code}: ${thrown.message}\n`);
    if (thrown.code === 'USAGE') error(`\n${PROBE_USAGE}`);
    return EXIT_NOTHING;
  }
}

/** @throws SyncError `USAGE` */
export function parseProbe(
  args: readonly string[],
): 'help' | { readonly options: ProbeOptions; readonly isJson: boolean } {
  const values = parsed(args);
  if (values.help) return 'help';
  const { url, token, network, budget, json = false } = values;
  if (url === undefined || !/^(ws|http)s?:\/\/./.test(url) || !URL.canParse(url)) {
    throw usage('--url: ws://HOST:PORT/sync or http://HOST:PORT');
  }
  if (token === undefined) throw usage('--token: what the server was started with');
  const options = {
    url: url.replace(/\/$/, ''),
    token,
    clients: number('--clients', values.clients, 2, 50),
    seconds: number('--seconds', values.seconds, 1, 3_600),
    seed: number('--seed', values.seed, 0, 2 ** 32 - 1),
    network: networkNamed(network),
    budgets: budget === undefined ? undefined : parseBudgets(budget),
  };
  const given = Object.entries(options).filter(([, value]) => value !== undefined);
  return { options: Object.fromEntries(given) as unknown as ProbeOptions, isJson: json };
}

function parsed(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      strict: true,
      options: {
        url: { type: 'string' },
        token: { type: 'string' },
        clients: { type: 'string' },
        seconds: { type: 'string' },
        network: { type: 'string' },
        budget: { type: 'string' },
        seed: { type: 'string' },
        json: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    }).values;
  } catch (error) {
    throw usage(error instanceof Error ? error.message : String(error));
  }
}

function networkNamed(name: string | undefined): NetworkPreset | 'healthy' | undefined {
  if (name === undefined || name === 'healthy') return name;
  const found = NETWORK_PRESETS.find((preset) => preset.replaceAll(' ', '-').toLowerCase() === name.toLowerCase());
  if (found) return found;
  throw usage(`--network ${name}: one of ${NETWORKS.join(', ')}`);
}

function number(name: string, text: string | undefined, least: number, most: number): number | undefined {
  if (text === undefined) return undefined;
  const value = /^\d{1,10}$/.test(text) ? Number(text) : Number.NaN;
  if (!(value >= least && value <= most)) throw usage(`${name} ${text}: a whole number from ${least} to ${most}`);
  return value;
}

function usage(what: string): SyncError {
  return new SyncError('USAGE', what, { origin: 'setting' });
}

function reportText({ session, scenario, transport, network, clients, findings, isMet }: ProbeReport): string {
  const lines = findings.map(({ name, isMet: isOne, text, limit }) => {
    const budget = limit === undefined ? '' : ` (budget ${limit})`;
    return `  ${isOne ? 'ok    ' : 'MISSED'}  ${name.padEnd(14)} ${text}${budget}`;
  });
  const head = `${session} (${scenario}): ${clients} clients over ${transport}, network ${network}`;
  return `${head}\n\n${lines.join('\n')}\n\n${isMet ? 'Every budget is met.' : 'A budget is missed.'}\n`;
}
