import { registerHooks, stripTypeScriptTypes } from 'node:module';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import type * as Simulator from '@syncscope/protocol/simulator';
import { PLANTED_BUGS, type PlantedBug } from './planted-bugs.ts';

/**
 * Loads the simulator with a bug planted into the code below it. The bug is put in between the file and the interpreter, by a
 * module hook: nothing that ships knows of it, and a query behind each file's URL keeps the modules of different bugs apart.
 * What does not import the changed file, directly or through others, is the same for every bug and is loaded once.
 * Only for Node itself; a bundler or test runner that loads modules in its own way passes hooks by.
 */
const QUERY = '?planted=';
/** In the place of a bug's name: the source as it is, for all bugs that leave it so. */
const NONE = 'none';
const sources = pathToFileURL(resolve(import.meta.dirname, '../../protocol-lib/src')).href;
/** Edits that were carried out, as `bug/file/number`. */
const done = new Set<string>();
const bugs = new Map<string, PlantedBug>(PLANTED_BUGS.map((bug) => [bug.name, bug]));
/** By URL of a source, who imports it; known once it was loaded without a bug. */
const importers = new Map<string, Set<string>>();
/** By bug, the sources that are the same with it as without. */
const shared = new Map<string, ReadonlySet<string>>();
/** By URL of a source, its JavaScript. Taking the types off costs more than all else of loading it. */
const scripts = new Map<string, string>();

registerHooks({
  resolve(specifier, context, next) {
    const resolved = next(specifier, context);
    if (!resolved.url.startsWith(sources)) return resolved;
    const name = plantedName(context.parentURL);
    if (name === undefined) return resolved;
    const url = withoutQuery(resolved.url);
    if (name === NONE) noteImport(url, withoutQuery(context.parentURL!));
    return { ...resolved, url: `${url}${QUERY}${shared.get(name)?.has(url) ? NONE : name}` };
  },
  load(url, context, next) {
    const name = plantedName(url);
    if (name === undefined || !url.startsWith(sources)) return next(url, context);
    const plain = withoutQuery(url);
    const file = plain.slice(sources.length + 1);
    const bug = bugs.get(name);
    const isEdited = bug?.edits.some((edit) => edit.file === file);
    let script = isEdited ? undefined : scripts.get(plain);
    if (script === undefined) {
      const { source } = next(url, context);
      const text = typeof source === 'string' ? source : new TextDecoder().decode(source as Uint8Array);
      script = stripTypeScriptTypes(bug ? plantInto(bug, file, text) : text);
      if (!isEdited) scripts.set(plain, script);
    }
    return { format: 'module', source: script, shortCircuit: true };
  },
});

/** @throws Error where the code is no longer as the bug expects it */
export async function loadPlanted(bug: PlantedBug): Promise<typeof Simulator> {
  return (await loadWithBug(bug, `${sources}/simulator/index.ts`)) as typeof Simulator;
}

/**
 * Loads any module with a bug in the sources of the protocol that it imports.
 * @throws Error as {@link loadPlanted}
 */
export async function loadWithBug(bug: PlantedBug, url: string): Promise<unknown> {
  bugs.set(bug.name, bug);
  await import(`${url}${QUERY}${NONE}`);
  shared.set(bug.name, untouchedBy(bug));
  const module: unknown = await import(`${url}${QUERY}${bug.name}`);
  bug.edits.forEach(({ file }, index) => {
    if (!done.has(`${bug.name}/${file}/${index}`)) throw new Error(`${bug.name}: ${file} is not loaded by ${url}`);
  });
  return module;
}

function noteImport(url: string, importer: string): void {
  importers.set(url, (importers.get(url) ?? new Set()).add(importer));
}

/** The loaded sources that neither are changed by the bug nor import one that is, by any way. */
function untouchedBy(bug: PlantedBug): ReadonlySet<string> {
  const untouched = new Set(importers.keys());
  const touched = bug.edits.map(({ file }) => `${sources}/${file}`);
  for (let url = touched.pop(); url !== undefined; url = touched.pop()) {
    if (untouched.delete(url)) touched.push(...(importers.get(url) ?? []));
  }
  return untouched;
}

function plantInto(bug: PlantedBug, file: string, text: string): string {
  let result = text;
  bug.edits.forEach((edit, index) => {
    if (edit.file !== file) return;
    if (result.split(edit.find).length !== 2) {
      throw new Error(`${bug.name}: ${JSON.stringify(edit.find)} is not exactly once in ${file}: plant it anew`);
    }
    result = result.replace(edit.find, () => edit.put);
    done.add(`${bug.name}/${file}/${index}`);
  });
  return result;
}

function plantedName(url: string | undefined): string | undefined {
  const at = url?.indexOf(QUERY) ?? -1;
  return at === -1 ? undefined : url!.slice(at + QUERY.length);
}

function withoutQuery(url: string): string {
  const at = url.indexOf('?');
  return at === -1 ? url : url.slice(0, at);
}
