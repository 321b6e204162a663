#!/usr/bin/env node
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { isSyncError, type SyncError } from '@syncscope/protocol/errors';
import type { Durability } from '@syncscope/protocol/events';
import { parseCommandLine, USAGE } from './command-line.ts';
import { logCommand } from './log/log-command.ts';
import type { RunningPeers } from './peers/peer-server.ts';
import { probeCommand } from './probe/probe-command.ts';
import type { RunningServer } from './server.ts';
import { isPeers, startSession } from './session.ts';

/** The sample server as a program: runs until a signal, the end of `--seconds`, or the end of whoever started it. */

/** What an acknowledged change does. */
const SURVIVES: Readonly<Record<Durability, string>> = {
  memory: 'nothing: it is kept in memory alone (--log FILE keeps it)',
  broker: 'a crash of this server, not of the broker',
  process: 'a crash of any process, not of the machine',
  log: 'a crash of the machine',
};

/** Milliseconds: for telling all that was decided, and until clients come back. */
const DRAIN = { patience: 5_000, reconnect: 1_000 } as const;
const EXIT_FAILED = 1;
const EXIT_USAGE = 2;

process.exitCode = await main(process.argv.slice(2));
// A channel to whoever forked us would keep us running.
if (process.connected) process.disconnect();

async function main(args: readonly string[]): Promise<number> {
  if (args[0] === 'log') {
    const [out, error] = [process.stdout, process.stderr];
    return logCommand(args.slice(1), { out: (text) => out.write(text), error: (text) => error.write(text) });
  }
  if (args[0] === 'probe') {
    const [out, error] = [process.stdout, process.stderr];
    return probeCommand(args.slice(1), { out: (text) => out.write(text), error: (text) => error.write(text) });
  }
  try {
    const commandLine = parseCommandLine(args);
    if (commandLine.help) {
      process.stdout.write(USAGE);
      return 0;
    }
    // Asked for before anything runs, so that no signal is missed.
    const end = endAsked(commandLine.seconds);
    const server = await startSession({
      ...builtPage(),
      ...commandLine.options,
      onRetry: told,
      onFaultFailed: notStruck,
    });
    process.stdout.write(
      isPeers(server) ? peersIntroduction(server) : introduction(server, commandLine.options.bots ?? 4),
    );
    const { reason, isMoved } = await end;
    if (isPeers(server)) await server.close(reason);
    else await server.close(reason, isMoved ? DRAIN : undefined);
    return 0;
  } catch (error) {
    if (!isSyncError(error)) throw error;
    process.stderr.write(`${error.code}: ${error.message}\n`);
    if (error.code === 'USAGE') process.stderr.write(`\n${USAGE}`);
    return error.origin === 'setting' ? EXIT_USAGE : EXIT_FAILED;
  }
}

function told(error: SyncError): void {
  process.stderr.write(`${error.code}: ${error.message}; trying again\n`);
}

function notStruck(error: SyncError): void {
  process.stderr.write(`${error.code}: ${error.message}\n`);
}

interface End {
  readonly reason: string;
  /** Whether clients are to go on elsewhere: whoever runs servers says SIGTERM, whoever sits before one says SIGINT. */
  readonly isMoved: boolean;
}

/** Why the server is to end, once there is a reason. */
function endAsked(seconds: number | undefined): Promise<End> {
  return new Promise((resolve) => {
    const end = (reason: string, isMoved = false): void => resolve({ reason, isMoved });
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
      process.once(signal, () => end(`the server was stopped (${signal})`, signal === 'SIGTERM'));
    }
    // An editor that forked us has gone.
    process.once('disconnect', () => end('whoever started the server has ended'));
    if (seconds !== undefined) setTimeout(() => end(`the server ended after ${seconds} s`), seconds * 1_000).unref();
  });
}

function builtPage(): { readonly assets?: string } {
  const assets = join(import.meta.dirname, '..', '..', 'webview', 'dist', 'page');
  return existsSync(join(assets, 'index.html')) ? { assets } : {};
}

function introduction({ url, inspect, seed, session, durability }: RunningServer, bots: number): string {
  return `Session ${session}, ${bots} ${bots === 1 ? 'bot' : 'bots'}, seed ${seed}

  inspector   ${inspect.injectPageUrl}
  read only   ${inspect.pageUrl}
  clients     ${url}
  survives    ${SURVIVES[durability]}
  record      npm run -s syncscope -- record --session ${session} -o session.mcap

Ctrl-C ends it.
`;
}

function peersIntroduction({ inspect, seed, session, compress, world }: RunningPeers): string {
  const shorter = compress === 1 ? '' : `, times ${compress} times shorter`;
  return `Session ${session}, ${world.targets.length} peers, no authority, seed ${seed}${shorter}

  inspector   ${inspect.injectPageUrl}
  read only   ${inspect.pageUrl}
  record      npm run -s syncscope -- record --session ${session} -o session.mcap

Ctrl-C ends it.
`;
}
