import { randomBytes } from 'node:crypto';
import { constants, type Stats, unlinkSync } from 'node:fs';
import { chmod, type FileHandle, lstat, mkdir, open, readdir, rename, unlink } from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { isSyncError, SyncError } from '../errors/index.ts';
import { type Discovery, discoverySchema } from '../trace/index.ts';

/**
 * How a debugger finds what runs: each inspectable process keeps one file with its URL and tokens in a
 * folder of the user's own, and removes it at exit. A file that others could read is not believed.
 */

const FILE_MAX_BYTES = 16 * 1024;
const PROBE_TIMEOUT_MS = 1_000;
const OTHERS_READ_OR_WRITE = 0o077;
const OTHERS_WRITE = 0o022;
const LOOPBACK_URL = /^http:\/\/(127\.0\.0\.1|\[::1\]):(\d{1,5})$/;
const SAFE_ID = /^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/;

/** Where the files are: `SYNCSCOPE_SESSIONS_DIR`, else the user's runtime folder, else one in the temporary folder. */
export function sessionsFolder(): string {
  const { SYNCSCOPE_SESSIONS_DIR: chosen, XDG_RUNTIME_DIR: runtime } = process.env;
  if (chosen) return chosen;
  if (runtime) return join(runtime, 'syncscope');
  const user = process.getuid ? String(process.getuid()) : userInfo().username;
  return join(tmpdir(), `syncscope-${user}`);
}

export interface Announcement {
  readonly path: string;
  /** Removes the file. Harmless when done twice. */
  withdraw(): void;
}

/**
 * Writes the file of one session and sees to its removal when the process ends.
 * @throws SyncError `DISCOVERY_UNSAFE` where the folder is not the user's alone, `DISCOVERY_UNWRITABLE` where it cannot be made
 */
export async function announceSession(discovery: Discovery, folder = sessionsFolder()): Promise<Announcement> {
  if (!SAFE_ID.test(discovery.id)) {
    throw new SyncError('DISCOVERY_ID_INVALID', `session id ${JSON.stringify(discovery.id)} cannot name a file`, {
      origin: 'setting',
    });
  }
  const path = join(folder, `${discovery.id}.json`);
  try {
    await prepareFolder(folder);
    await writeWhole(path, `${JSON.stringify(discovery)}\n`);
  } catch (error) {
    if (isSyncError(error)) throw error;
    throw new SyncError(
      'DISCOVERY_UNWRITABLE',
      `the discovery file ${path} cannot be written; set SYNCSCOPE_SESSIONS_DIR to a folder of your own`,
      { origin: 'setting', place: { file: path }, cause: error },
    );
  }
  const withdrawal = removeAtExit(path);
  return { path, withdraw: withdrawal };
}

async function prepareFolder(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const stat = await lstat(folder);
  checkOwner(folder, stat);
  if (!stat.isDirectory()) throw unsafe(folder, 'is not a folder');
  if (process.platform !== 'win32' && (stat.mode & OTHERS_WRITE) !== 0) await chmod(folder, 0o700);
}

/** A reader sees the whole file or none: it is written beside its place and then moved there. */
async function writeWhole(path: string, text: string): Promise<void> {
  const draft = `${path}.${process.pid}.${randomBytes(4).toString('hex')}.tmp`;
  const handle = await open(draft, 'wx', 0o600);
  try {
    await handle.writeFile(text);
    await handle.close();
    await rename(draft, path);
  } catch (error) {
    await unlink(draft).catch(() => undefined);
    throw error;
  }
}

function removeAtExit(path: string): () => void {
  const remove = (): void => {
    try {
      unlinkSync(path);
    } catch {
      // Somebody removed it before; that is what was wanted.
    }
  };
  const onSignal = (signal: NodeJS.Signals): void => {
    withdraw();
    // With our listener gone and no other there, the signal does again what it does by default: end the process.
    if (process.listenerCount(signal) === 0) process.kill(process.pid, signal);
  };
  const withdraw = (): void => {
    remove();
    process.off('exit', remove);
    process.off('SIGINT', onSignal);
    process.off('SIGTERM', onSignal);
  };
  process.on('exit', remove);
  // First in line: a listener that was to be called once would be gone, and the signal be taken for nobody else's.
  process.prependListener('SIGINT', onSignal);
  process.prependListener('SIGTERM', onSignal);
  return withdraw;
}

export interface SessionSurvey {
  /** Sessions that run now, oldest first. */
  readonly sessions: readonly Discovery[];
  /** Files that were not believed, each with its reason and what to do. */
  readonly problems: readonly SyncError[];
}

/** Sessions that run now, oldest first. */
export async function listSessions(folder = sessionsFolder()): Promise<readonly Discovery[]> {
  return (await surveySessions(folder)).sessions;
}

/** Reads every discovery file, removes those whose process is gone, and says which were not believed and why. */
export async function surveySessions(folder = sessionsFolder()): Promise<SessionSurvey> {
  const names = await discoveryFiles(folder);
  const sessions: Discovery[] = [];
  const problems: SyncError[] = [];
  await Promise.all(
    names.map(async (name) => {
      const path = join(folder, name);
      try {
        const discovery = await readDiscovery(path);
        if (!discovery) return;
        if (await isRunning(discovery)) sessions.push(discovery);
        else await unlink(path).catch(() => undefined);
      } catch (error) {
        if (!isSyncError(error)) throw error;
        problems.push(error);
      }
    }),
  );
  sessions.sort((left, right) => left.startedAt - right.startedAt || (left.id < right.id ? -1 : 1));
  return { sessions, problems };
}

async function discoveryFiles(folder: string): Promise<string[]> {
  try {
    return (await readdir(folder)).filter((name) => name.endsWith('.json'));
  } catch {
    return [];
  }
}

/**
 * Reads one discovery file; `undefined` where it went away meanwhile.
 * @throws SyncError `DISCOVERY_UNSAFE` where others may read it or it is not the user's, `DISCOVERY_INVALID` where it says something else
 */
export async function readDiscovery(path: string): Promise<Discovery | undefined> {
  let handle: FileHandle;
  try {
    // Without O_NONBLOCK the opening of a pipe waits for a writer for ever.
    handle = await open(path, constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0));
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw unsafe(path, 'cannot be opened as a plain file', error);
  }
  try {
    // Asked of what is open, not of the name: nobody can swap the file between the check and the reading.
    const stat = await handle.stat();
    if (!stat.isFile()) throw unsafe(path, 'is not a plain file');
    checkOwner(path, stat);
    if (process.platform !== 'win32' && (stat.mode & OTHERS_READ_OR_WRITE) !== 0) {
      throw unsafe(path, `may be read by others (mode ${(stat.mode & 0o777).toString(8)}); its tokens are void`);
    }
    if (stat.size > FILE_MAX_BYTES) throw invalid(path, `${stat.size} bytes, at most ${FILE_MAX_BYTES}`);
    return parseDiscovery(path, await handle.readFile('utf8'));
  } finally {
    await handle.close();
  }
}

function parseDiscovery(path: string, text: string): Discovery {
  try {
    const discovery = discoverySchema.parse(JSON.parse(text), '');
    if (!LOOPBACK_URL.test(discovery.url)) throw new Error(`${discovery.url} is not on this machine's loopback`);
    if (!SAFE_ID.test(discovery.id)) throw new Error('the id is not one');
    return discovery;
  } catch (error) {
    throw invalid(path, error instanceof Error ? error.message : String(error), error);
  }
}

/** False where the process is gone, or where something else answers in its place. */
async function isRunning(discovery: Discovery): Promise<boolean> {
  if (!isProcessAlive(discovery.pid)) return false;
  const answer = await askForId(discovery.url);
  return answer === 'silent' || answer === discovery.id;
}

function isProcessAlive(pid: number): boolean {
  if (pid === 0) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // Not permitted means that it is there.
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}

/**
 * The id of the session behind `url`; undefined where nobody listens or somebody else does; `silent` where it cannot be
 * told: no answer within a second, as of a process in a debugger, or a connection that broke. Only what is certain may
 * cost a session its file.
 */
function askForId(url: string): Promise<string | 'silent' | undefined> {
  return new Promise((resolve) => {
    const asked = request(`${url}/session`, { agent: false, timeout: PROBE_TIMEOUT_MS }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (part: string) => {
        text += part;
        if (text.length <= 1_000) return;
        resolve(undefined);
        asked.destroy();
      });
      response.on('end', () => resolve(idIn(text)));
      response.on('error', () => resolve('silent'));
    });
    asked.on('timeout', () => {
      resolve('silent');
      asked.destroy();
    });
    asked.on('error', (error) => resolve('code' in error && error.code === 'ECONNREFUSED' ? undefined : 'silent'));
    asked.end();
  });
}

function idIn(text: string): string | undefined {
  try {
    const answer: unknown = JSON.parse(text);
    if (typeof answer !== 'object' || answer === null || !('id' in answer)) return undefined;
    return typeof answer.id === 'string' ? answer.id : undefined;
  } catch {
    return undefined;
  }
}

function checkOwner(path: string, stat: Stats): void {
  if (process.getuid && stat.uid !== process.getuid()) throw unsafe(path, 'belongs to another user');
}

function unsafe(path: string, what: string, cause?: unknown): SyncError {
  return new SyncError('DISCOVERY_UNSAFE', `${path} ${what}. Remove it, then start the session again.`, {
    origin: 'setting',
    place: { file: path },
    cause,
  });
}

function invalid(path: string, what: string, cause?: unknown): SyncError {
  return new SyncError('DISCOVERY_INVALID', `${path} is not a discovery file: ${what}. Remove it.`, {
    origin: 'setting',
    place: { file: path },
    cause,
  });
}
