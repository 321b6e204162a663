import { registerHooks } from 'node:module';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import type * as Simulator from '@syncscope/protocol/simulator';
import { PLANTED_BUGS, type PlantedBug } from './planted-bugs.ts';

/**
 * Loads the simulator with a bug planted into the code below it. The bug is put in between the file and the interpreter, by a
 * module hook: nothing that ships knows of it, and a query behind each file's URL keeps the modules of different bugs apart.
 * Only for Node itself; a bundler or test runner that loads modules in its own way passes hooks by.
 */
const QUERY = '?planted=';
const sources = pathToFileURL(resolve(import.meta.dirname, '../../protocol-lib/src')).href;
/** Edits that were carried out, as `bug/file/number`. */
const done = new Set<string>();
const bugs = new Map<string, PlantedBug>(PLANTED_BUGS.map((bug) => [bug.name, bug]));

registerHooks({
  resolve(specifier, context, next) {
    const resolved = next(specifier, context);
    const name = plantedName(context.parentURL);
    return name !== undefined && resolved.url.startsWith(sources)
      ? { ...resolved, url: `${withoutQuery(resolved.url)}${QUERY}${name}` }
      : resolved;
  },
  load(url, context, next) {
    const loaded = next(url, context);
    const bug = bugs.get(plantedName(url) ?? '');
    if (!bug || !url.startsWith(sources)) return loaded;
    const file = withoutQuery(url).slice(sources.length + 1);
    const text =
      typeof loaded.source === 'string' ? loaded.source : new TextDecoder().decode(loaded.source as Uint8Array);
    return { ...loaded, source: plantInto(bug, file, text) };
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
  const module: unknown = await import(`${url}${QUERY}${bug.name}`);
  bug.edits.forEach(({ file }, index) => {
    if (!done.has(`${bug.name}/${file}/${index}`)) throw new Error(`${bug.name}: ${file} is not loaded by ${url}`);
  });
  return module;
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
