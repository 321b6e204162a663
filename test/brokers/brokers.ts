import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type BrokerName, ensureBroker } from '../../scripts/brokers.ts';
import { Program } from '../support/processes.ts';

/** A real broker on a free port of this machine, with its data in a folder of its own. */
export interface Broker {
  readonly name: BrokerName;
  /** For `openBus`. */
  readonly url: string;
  readonly pid: number;
  /** Ends it as a power cut of its process does, and resolves when it is gone. */
  kill(): Promise<void>;
  /** Starts it again, on the same port and with the same data. */
  start(): Promise<void>;
  /** Ends it for good and removes its data. */
  close(): Promise<void>;
}

export interface RedisOptions {
  /** `always` by default; `no` keeps nothing on disk. */
  readonly appendonly?: 'always' | 'everysec' | 'no';
  /** Further settings, such as `['--maxmemory', '10mb']`. */
  readonly more?: readonly string[];
}

export async function startRedis({ appendonly = 'always', more = [] }: RedisOptions = {}): Promise<Broker> {
  const file = appendonly === 'no' ? ['no'] : ['yes', '--appendfsync', appendonly];
  return start('redis', /Ready to accept connections/, (port, folder) => [
    ...['--port', String(port), '--bind', '127.0.0.1', '--dir', folder, '--save', '', '--daemonize', 'no'],
    ...['--appendonly', ...file, ...more],
  ]);
}

/** `monitorPort` opens its monitoring there. */
export async function startNats(monitorPort?: number): Promise<Broker> {
  const monitoring = monitorPort === undefined ? [] : ['-m', String(monitorPort)];
  return start('nats', /Server is ready/, (port, folder) => [
    ...['-js', '-a', '127.0.0.1', '-p', String(port), '-sd', folder, ...monitoring],
  ]);
}

async function start(
  name: BrokerName,
  isReady: RegExp,
  args: (port: number, folder: string) => string[],
): Promise<Broker> {
  const program = ensureBroker(name);
  const folder = mkdtempSync(join(tmpdir(), `syncscope-${name}-`));
  const port = await freePort();
  const run = async (): Promise<Program> => {
    const started = new Program(program, args(port, folder), {}, folder);
    await started.printed(isReady);
    await reachable(port);
    return started;
  };
  let running = await run();
  return {
    name,
    url: `${name}://127.0.0.1:${port}`,
    get pid() {
      return running.pid;
    },
    async kill() {
      await running.stop('SIGKILL');
    },
    async start() {
      running = await run();
    },
    async close() {
      await running.stop('SIGKILL');
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** A port of loopback that nobody uses now. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (typeof address !== 'object' || address === null) throw new Error('a server without a port');
  return address.port;
}

async function reachable(port: number): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy();
      resolve();
    });
    socket.once('error', reject);
  });
}
