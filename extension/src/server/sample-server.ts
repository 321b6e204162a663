import { type ChildProcess, fork } from 'node:child_process';
import { SyncError } from '@syncscope/protocol/errors';
import { listSessions } from '@syncscope/protocol/node';
import type { Discovery } from '@syncscope/protocol/trace';
import * as vscode from 'vscode';
import { requireTrust } from '../trust.ts';
import { type StartOptions, serverArguments, withoutTokens } from './arguments.ts';

const START_LIMIT_MS = 20_000;
const STOP_LIMIT_MS = 5_000;
const LOOK_EVERY_MS = 100;

/** The sample server as a child process of the extension host: at most one, ended with the host. */
export class SampleServer implements vscode.Disposable {
  readonly #program: string;
  readonly #log: vscode.LogOutputChannel;
  readonly #changed = new vscode.EventEmitter<void>();
  readonly onDidChange = this.#changed.event;
  #child: ChildProcess | undefined;

  /** `program` is the bundle that `build.ts` makes of the sample server. */
  constructor(program: string, log: vscode.LogOutputChannel) {
    this.#program = program;
    this.#log = log;
  }

  get isRunning(): boolean {
    return this.#child !== undefined;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /**
   * Starts it on a free port and waits until it offers its session.
   *
   * @throws SyncError `TRUST_REQUIRED`, `SERVER_RUNNING`, `SERVER_FAILED` with the last of what it said
   */
  async start(options: StartOptions): Promise<Discovery> {
    requireTrust(vscode.l10n.t('Starting the sample server'));
    if (this.#child) {
      throw new SyncError('SERVER_RUNNING', vscode.l10n.t('The sample server runs already. Stop it first.'), {
        origin: 'setting',
      });
    }
    const child = fork(this.#program, serverArguments(options), {
      // VS Code's own Node; on the desktop that is Electron, which must be told to be one.
      execPath: process.execPath,
      execArgv: [],
      env: { ...process.env, ELECTRON_RUN_AS_NODE: '1' },
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    });
    this.#child = child;
    this.#changed.fire();
    const tail = this.#listen(child);
    try {
      return await offered(child, tail);
    } catch (error) {
      await end(child);
      throw error;
    }
  }

  async stop(): Promise<void> {
    if (this.#child) await end(this.#child);
  }

  /** The child ends by itself when the channel to us closes, however we end; here it is asked to at once. */
  dispose(): void {
    this.#child?.kill('SIGTERM');
    this.#changed.dispose();
  }

  /** Logs what the server says. Returns a function that gives the last of it. */
  #listen(child: ChildProcess): () => string {
    let tail = '';
    const read = (chunk: string) => {
      tail = (tail + chunk).slice(-600);
      for (const line of chunk.split('\n')) if (line.trim() !== '') this.#log.info(`server: ${withoutTokens(line)}`);
    };
    child.stdout?.setEncoding('utf8').on('data', read);
    child.stderr?.setEncoding('utf8').on('data', read);
    child.once('exit', (code, signal) => {
      this.#log.info(`server: ended with ${signal ?? code}`);
      if (this.#child !== child) return;
      this.#child = undefined;
      this.#changed.fire();
    });
    return () => withoutTokens(tail);
  }
}

/** Waits for the discovery file of a child; rejects where the child ends before, or takes too long. */
function offered(child: ChildProcess, tail: () => string): Promise<Discovery> {
  return new Promise((resolve, reject) => {
    const fail = (what: string) => {
      stop();
      reject(new SyncError('SERVER_FAILED', `${what} ${tail()}`.trim(), { origin: 'setting', retry: 'now' }));
    };
    const onExit = () => fail(vscode.l10n.t('The sample server ended before it offered a session.'));
    const onError = (error: Error) =>
      fail(vscode.l10n.t('The sample server could not be started: {0}.', error.message));
    const look = setInterval(() => {
      listSessions().then((sessions) => {
        const own = sessions.find((session) => session.pid === child.pid);
        if (!own) return;
        stop();
        resolve(own);
      }, onError);
    }, LOOK_EVERY_MS);
    const limit = setTimeout(
      () => fail(vscode.l10n.t('The sample server offered no session in time.')),
      START_LIMIT_MS,
    );
    const stop = () => {
      clearInterval(look);
      clearTimeout(limit);
      child.off('exit', onExit);
      child.off('error', onError);
    };
    child.once('exit', onExit);
    child.once('error', onError);
  });
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const patience = setTimeout(() => child.kill('SIGKILL'), STOP_LIMIT_MS);
  child.kill('SIGTERM');
  await ended;
  clearTimeout(patience);
}
