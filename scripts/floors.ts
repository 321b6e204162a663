import { isBuiltin } from 'node:module';
import { dirname, normalize } from 'node:path/posix';
import { parseAst } from 'rolldown/parseAst';

/**
 * The rules of ARCHITECTURE.md that the compiler cannot see: who may import whom, and that the protocol's core has
 * no clock, randomness, timers, Node or DOM.
 */

/** Folders of `protocol-lib/src`, lowest floor first. A folder imports from its own floor and those below. */
export const FLOORS: ReadonlyArray<readonly string[]> = [
  ['errors', 'schema', 'ports', 'bytes'],
  ['state', 'merkle', 'crdt', 'clock'],
  ['messages', 'conflict', 'events', 'trace'],
  ['sync', 'peers', 'offline', 'presence', 'diffsync'],
  ['capture', 'replay', 'diagnose', 'shrink'],
  ['simulator', 'testing'],
];

/** Folders that stand beside the floors: the only ones that may touch Node, and a browser. They import every floor, and none imports them. */
const BESIDE = new Set(['node', 'browser']);

/** Globals that exist in Node or a browser but that the core must be handed as ports, or do without. */
const AMBIENT = new Set(
  (
    'process Buffer global globalThis require module __dirname __filename console performance crypto queueMicrotask ' +
    'setTimeout setInterval setImmediate clearTimeout clearInterval clearImmediate requestAnimationFrame ' +
    'requestIdleCallback window self document navigator location history localStorage sessionStorage indexedDB ' +
    'fetch XMLHttpRequest WebSocket EventSource Worker SharedWorker BroadcastChannel MessageChannel alert'
  ).split(' '),
);

/** Which packages a folder's code may name. `protocol-lib` is the bottom; nothing imports the extension. */
const LAYERS: Readonly<Record<string, readonly string[]>> = {
  'protocol-lib': [],
  'sample-server': ['@syncscope/protocol'],
  webview: ['@syncscope/protocol', '@syncscope/sample-server'],
  extension: ['@syncscope/protocol', '@syncscope/inspector', '@syncscope/sample-server'],
};

/** Packages that belong to one place, and where that is. */
const CONFINED: ReadonlyArray<{ readonly name: RegExp; readonly within: RegExp; readonly where: string }> = [
  { name: /^@vscode\/webview-ui-toolkit/, within: /^webview\/src\/ui\//, where: 'webview/src/ui' },
  { name: /^vscode$/, within: /^extension\//, where: 'extension' },
  { name: /^(react|react-dom)(\/|$)/, within: /^webview\/src\//, where: 'webview/src' },
  // The command runs recordings of its sessions again; the page has nothing to do with them.
  {
    name: /^@syncscope\/sample-server/,
    within: /^(webview\/host|extension|sample-server|scripts)\//,
    where: 'webview/host and the extension',
  },
  { name: /^idb$/, within: /^protocol-lib\/src\/browser\//, where: 'protocol-lib/src/browser' },
  {
    name: /^ws$/,
    within: /^(protocol-lib\/src\/node|sample-server|webview\/host)\//,
    where: 'node/ folders and hosts',
  },
];

export interface SourceFile {
  /** From the repository's root, with forward slashes. */
  readonly path: string;
  readonly text: string;
}

export interface Violation {
  readonly path: string;
  /** From 1. */
  readonly line: number;
  readonly message: string;
}

interface Import {
  readonly source: string;
  readonly line: number;
  readonly isTypeOnly: boolean;
}

/** Every broken rule in `files`, by path and line. */
export function findViolations(files: readonly SourceFile[]): Violation[] {
  const violations: Violation[] = [];
  const edges: Edge[] = [];
  for (const file of files) {
    const program = parse(file);
    const report = (line: number, message: string) => violations.push({ path: file.path, line, message });
    const folder = coreFolder(file.path);
    for (const found of importsOf(program, file.text)) {
      checkPackage(file.path, found, report);
      if (folder !== undefined) checkCoreImport(file.path, folder, found, report);
      const to = resolveImport(file.path, found.source);
      if (to !== undefined && !found.isTypeOnly) edges.push({ from: file.path, to, line: found.line });
    }
    if (folder !== undefined && !BESIDE.has(folder) && !isTest(file.path)) {
      for (const { line, name } of ambientUses(program, file.text)) {
        report(line, `${name} in the core: take it through a port`);
      }
    }
  }
  return [...violations, ...circles(edges)].sort((a, b) => a.path.localeCompare(b.path) || a.line - b.line);
}

export function isTest(path: string): boolean {
  return /(\.test|\.test-helper|\/testing)\.tsx?$/.test(path);
}

/** `merkle` for `protocol-lib/src/merkle/tree.ts`; undefined for anything that is not in a folder of the library. */
function coreFolder(path: string): string | undefined {
  return /^protocol-lib\/src\/([^/]+)\//.exec(path)?.[1];
}

/** 0 to 5; -1 for a folder that has no floor. */
function floorOf(folder: string): number {
  return FLOORS.findIndex((folders) => folders.includes(folder));
}

function resolveImport(path: string, source: string): string | undefined {
  return source.startsWith('.') ? normalize(`${dirname(path)}/${source}`) : undefined;
}

function checkPackage(path: string, { source, line }: Import, report: (line: number, message: string) => void): void {
  const home = path.split('/')[0]!;
  const target = resolveImport(path, source);
  const reached = target?.split('/')[0] ?? home;
  if (reached !== home && Object.hasOwn(LAYERS, reached) && Object.hasOwn(LAYERS, home)) {
    report(line, `${source} reaches into another package: import it by its name`);
  }
  const allowed = LAYERS[home];
  const own = /^@syncscope\/[a-z-]+/.exec(source)?.[0];
  if (allowed && own && !allowed.includes(own) && !isTest(path)) report(line, `${home} must not import ${own}`);
  for (const { name, within, where } of CONFINED) {
    if (name.test(source) && !within.test(path) && !isTest(path) && !path.startsWith('test/')) {
      report(line, `${source} is imported only in ${where}`);
    }
  }
  const isBrowserCode = path.startsWith('webview/src/') && !isTest(path);
  if (isBrowserCode && (isBuiltin(source) || source === '@syncscope/protocol/node')) {
    report(line, `${source} cannot run in the inspector's page`);
  }
}

function checkCoreImport(
  path: string,
  folder: string,
  { source, line }: Import,
  report: (line: number, message: string) => void,
): void {
  if (folder === 'browser' && !isTest(path)) {
    if (isBuiltin(source)) report(line, `${source} cannot run in a browser`);
    if (coreFolder(resolveImport(path, source) ?? '') === 'node')
      report(line, `${source}: browser/ does not import node/`);
  }
  if (BESIDE.has(folder) || isTest(path)) return;
  if (floorOf(folder) < 0) report(1, `${folder} has no floor: give it one in scripts/floors.ts and ARCHITECTURE.md`);
  if (isBuiltin(source)) report(line, `${source} in the core: only node/ may use Node`);
  const target = coreFolder(resolveImport(path, source) ?? '');
  if (target && BESIDE.has(target)) report(line, `${source}: no floor imports ${target}/`);
  else if (target && floorOf(target) > floorOf(folder)) {
    report(line, `${folder} (floor ${floorOf(folder)}) imports upwards from ${target} (floor ${floorOf(target)})`);
  }
}

interface Edge {
  readonly from: string;
  readonly to: string;
  readonly line: number;
}

/** Imports that lead back to the file that makes them. Types alone make no circle: they vanish. */
function circles(edges: readonly Edge[]): Violation[] {
  const out = Map.groupBy(edges, ({ from }) => from);
  const leadsTo = (from: string, goal: string): boolean => {
    const seen = new Set([from]);
    // A set grows while it is walked.
    for (const path of seen) for (const { to } of out.get(path) ?? []) seen.add(to);
    return seen.has(goal);
  };
  return edges
    .filter(({ from, to }) => leadsTo(to, from))
    .map(({ from, to, line }) => ({ path: from, line, message: `${to} imports this file again, by a circle` }));
}

// --- reading the syntax tree (ESTree) -----------------------------------------------------------------------------

interface Node {
  readonly type: string;
  readonly start: number;
  readonly [property: string]: unknown;
}

function parse({ path, text }: SourceFile): Node {
  return parseAst(text, { lang: path.endsWith('x') ? 'tsx' : 'ts' }, path) as unknown as Node;
}

function isNode(value: unknown): value is Node {
  return typeof value === 'object' && value !== null && typeof (value as Node).type === 'string';
}

/** Calls `visit` for every node with its parent and the property that holds it; stops below where it returns false. */
function walk(node: Node, visit: (node: Node, parent: Node | undefined, property: string) => boolean): void {
  const step = (current: Node, parent: Node | undefined, property: string): void => {
    if (!visit(current, parent, property)) return;
    for (const [name, value] of Object.entries(current)) {
      for (const child of Array.isArray(value) ? value : [value]) if (isNode(child)) step(child, current, name);
    }
  };
  step(node, undefined, '');
}

function importsOf(program: Node, text: string): Import[] {
  const imports: Import[] = [];
  walk(program, (node) => {
    const source = node.source;
    if (isNode(source) && typeof source.value === 'string') {
      const isTypeOnly = node.importKind === 'type' || node.exportKind === 'type' || node.type === 'TSImportType';
      imports.push({ source: source.value, line: lineOf(text, node.start), isTypeOnly });
    }
    return true;
  });
  return imports;
}

function ambientUses(program: Node, text: string): { name: string; line: number }[] {
  const declared = declaredNames(program);
  const uses: { name: string; line: number }[] = [];
  const use = (name: string, node: Node) => uses.push({ name, line: lineOf(text, node.start) });
  walk(program, (node, parent, property) => {
    if (isMember(node, 'Math', 'random')) use('Math.random', node);
    if (isMember(node, 'Date', 'now')) use('Date.now', node);
    const makesDate = node.type === 'NewExpression' || node.type === 'CallExpression';
    const isNow = node.type === 'CallExpression' || (node.arguments as unknown[] | undefined)?.length === 0;
    if (makesDate && isNow && isNode(node.callee) && node.callee.name === 'Date') use('the time now (Date)', node);
    const name = node.type === 'Identifier' ? String(node.name) : '';
    if (AMBIENT.has(name) && !declared.has(name) && !isPropertyName(parent, property)) use(name, node);
    return true;
  });
  return uses;
}

function isMember(node: Node, object: string, property: string): boolean {
  if (node.type !== 'MemberExpression' || !isNode(node.object) || !isNode(node.property)) return false;
  return node.object.name === object && (node.property.name === property || node.property.value === property);
}

/** Whether an identifier in this place only names a member, and refers to nothing. */
function isPropertyName(parent: Node | undefined, property: string): boolean {
  if (!parent || parent.computed === true) return false;
  if (property === 'property') return parent.type === 'MemberExpression';
  if (property === 'right') return parent.type === 'TSQualifiedName';
  if (property === 'label') return true;
  return property === 'key' || property === 'imported' || property === 'exported' || property === 'qualifier';
}

/** Names that the file itself binds anywhere: what it calls `history` is then its own. */
function declaredNames(program: Node): Set<string> {
  const names = new Set<string>();
  const bind = (pattern: unknown): void => {
    if (!isNode(pattern)) return;
    if (pattern.type === 'Identifier') names.add(String(pattern.name));
    for (const part of ['left', 'argument', 'value', 'parameter']) bind(pattern[part]);
    for (const list of ['elements', 'properties']) {
      if (Array.isArray(pattern[list])) for (const item of pattern[list]) bind(item);
    }
  };
  walk(program, (node) => {
    if (node.type === 'VariableDeclarator' || /^(Function|Class)/.test(node.type)) bind(node.id);
    if (node.type.startsWith('Import') && isNode(node.local)) bind(node.local);
    if (node.type === 'CatchClause') bind(node.param);
    if (Array.isArray(node.params)) for (const parameter of node.params) bind(parameter);
    return true;
  });
  return names;
}

function lineOf(text: string, offset: number): number {
  let line = 1;
  for (let at = text.indexOf('\n'); at >= 0 && at < offset; at = text.indexOf('\n', at + 1)) line++;
  return line;
}
