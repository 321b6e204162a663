#!/usr/bin/env node
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { isSyncError } from '@syncscope/protocol/errors';
import { parseCommandLine, USAGE } from './command-line.ts';
import { type RunningServer, startServer } from './server.ts';

/** The sample server as a program: runs until a signal, the end of `--seconds`, or the end of whoever started it. */

const EXIT_FAILED = 1;
const EXIT_USAGE = 2;

process.exitCode = await main(process.argv.slice(2));
// A channel to whoever forked us would keep us running.
if (process.connected) process.disconnect();

async function main(args: readonly string[]): Promise<number> {
  try {
    const commandLine = parseCommandLine(args);
    if (commandLine.help) {
      process.stdout.write(USAGE);
      return 0;
    }
    // Asked for before anything runs, so that no signal is missed.
    const end = endAsked(commandLine.seconds);
    const server = await startServer({ ...builtPage(), ...commandLine.options });
    process.stdout.write(introduction(server, commandLine.options.bots ?? 4));
    const reason = await end;
    await server.close(reason);
    return 0;
  } catch (error) {
    if (!isSyncError(error)) throw error;
    process.stderr.write(`${error.code}: ${error.message}\n`);
    if (error.code === 'USAGE') process.stderr.write(`\n${USAGE}`);
    return error.origin === 'setting' ? EXIT_USAGE : EXIT_FAILED;
  }
}

/** The reason why the server is to end, once there is one. */
function endAsked(seconds: number | undefined): Promise<string> {
  return new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
      process.once(signal, () => resolve(`the server was stopped (${signal})`));
    }
    // An editor that forked us has gone.
    process.once('disconnect', () => resolve('whoever started the server has ended'));
    if (seconds !== undefined)
      setTimeout(() => resolve(`the server ended after ${seconds} s`), seconds * 1_000).unref();
  });
}

function builtPage(): { readonly assets?: string } {
  const assets = join(import.meta.dirname, '..', '..', 'webview', 'dist', 'page');
  return existsSync(join(assets, 'index.html')) ? { assets } : {};
}

function introduction({ url, inspect, seed, session }: RunningServer, bots: number): string {
  return `Session ${session}, ${bots} ${bots === 1 ? 'bot' : 'bots'}, seed ${seed}

  inspector   ${inspect.injectPageUrl}
  read only   ${inspect.pageUrl}
  clients     ${url}
  record      npm run -s syncscope -- record --session ${session} -o session.mcap

Ctrl-C ends it.
`;
}
