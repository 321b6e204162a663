import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';

/** The brokers that the tests of the event bus run against. */
export type BrokerName = 'redis' | 'nats';

const BROKERS: Readonly<Record<BrokerName, { readonly program: string; readonly variable: string }>> = {
  redis: { program: 'redis-server', variable: 'REDIS_SERVER_PATH' },
  nats: { program: 'nats-server', variable: 'NATS_SERVER_PATH' },
};

/** Path of a broker's server on this machine: its variable, the search path, or where Debian puts it. */
export function findBroker(name: BrokerName): string | undefined {
  const { program, variable } = BROKERS[name];
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/usr/bin', '/usr/local/bin'];
  const files = [process.env[variable], ...folders.map((folder) => join(folder, program))];
  return files.find((file) => file !== undefined && existsSync(file));
}

/**
 * The broker's server to test with; installed first where the machine is a Debian that we are root on.
 *
 * @throws Error saying what to install, where there is none and we may not install it.
 */
export function ensureBroker(name: BrokerName): string {
  const { program, variable } = BROKERS[name];
  const found = findBroker(name) ?? (isDebianRoot() ? install(name) : undefined);
  if (found) return found;
  throw new Error(
    `The tests of the event bus need ${program} and found none: install it, or set ${variable} to it. ` +
      `On Debian or Ubuntu: sudo apt-get install ${program}. On macOS: brew install ${name === 'redis' ? 'redis' : program}.`,
  );
}

/** Both, so that it is known before the tests begin. */
export function ensureBrokers(): void {
  for (const name of Object.keys(BROKERS) as BrokerName[]) ensureBroker(name);
}

function isDebianRoot(): boolean {
  return existsSync('/etc/debian_version') && process.getuid?.() === 0;
}

function install(name: BrokerName): string | undefined {
  const { program } = BROKERS[name];
  console.error(`installing ${program} …`);
  // The tests start their own; the package's service would only take a port.
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' };
  for (const args of [['update'], ['install', '-y', '--no-install-recommends', program]]) {
    spawnSync('apt-get', args, { env, stdio: ['ignore', 2, 2] });
  }
  return findBroker(name);
}
