import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import {
  CAPTURE_EDITOR,
  COMMANDS,
  CONTAINER,
  CONTEXT_KEYS,
  EXTENSION_ID,
  LIVE_PANEL,
  SETTINGS,
  TREE_ITEMS,
  VIEWS,
  WALKTHROUGH,
} from './ids.ts';

interface MenuEntry {
  readonly command: string;
  readonly when?: string;
}

interface Manifest {
  readonly name: string;
  readonly publisher: string;
  readonly activationEvents: readonly string[];
  readonly capabilities: {
    readonly untrustedWorkspaces: { readonly supported: string; readonly restrictedConfigurations: readonly string[] };
  };
  readonly contributes: {
    readonly commands: ReadonlyArray<{
      readonly command: string;
      readonly category: string;
      readonly enablement?: string;
    }>;
    readonly viewsContainers: { readonly activitybar: ReadonlyArray<{ readonly id: string; readonly icon: string }> };
    readonly views: Readonly<Record<string, ReadonlyArray<{ readonly id: string }>>>;
    readonly viewsWelcome: ReadonlyArray<{ readonly view: string; readonly contents: string; readonly when?: string }>;
    readonly menus: Readonly<Record<string, readonly MenuEntry[]>>;
    readonly customEditors: ReadonlyArray<{ readonly viewType: string }>;
    readonly configuration: { readonly properties: Readonly<Record<string, unknown>> };
    readonly walkthroughs: ReadonlyArray<{
      readonly id: string;
      readonly steps: ReadonlyArray<{
        readonly media: { readonly markdown: string };
        readonly completionEvents: readonly string[];
      }>;
    }>;
  };
}

const read = (file: string) => readFileSync(new URL(`../${file}`, import.meta.url), 'utf8');
const text = read('package.json');
const manifest = JSON.parse(text) as Manifest;
const translations = JSON.parse(read('package.nls.json')) as Readonly<Record<string, string>>;
const { contributes } = manifest;
const commandIds = Object.values(COMMANDS).sort();

test('the extension, its container, views, editor and walkthrough are named as in the code', () => {
  expect(`${manifest.publisher}.${manifest.name}`).toBe(EXTENSION_ID);
  expect(contributes.viewsContainers.activitybar.map(({ id }) => id)).toEqual([CONTAINER]);
  expect(contributes.views[CONTAINER]?.map(({ id }) => id)).toEqual(Object.values(VIEWS));
  expect(contributes.customEditors.map(({ viewType }) => viewType)).toEqual([CAPTURE_EDITOR]);
  expect(contributes.walkthroughs.map(({ id }) => id)).toEqual([WALKTHROUGH]);
});

test('every command is declared, with the category', () => {
  expect(contributes.commands.map(({ command }) => command).sort()).toEqual(commandIds);
  expect(new Set(contributes.commands.map(({ category }) => category))).toEqual(new Set(['Syncscope']));
});

test('the settings are declared, and all of them wait for trust', () => {
  const names = Object.values(SETTINGS).sort();
  expect(Object.keys(contributes.configuration.properties).sort()).toEqual(names);
  expect([...manifest.capabilities.untrustedWorkspaces.restrictedConfigurations].sort()).toEqual(names);
});

test('whatever attaches, records or starts is disabled without trust, and opening a capture is not', () => {
  const enablement = (id: string) => contributes.commands.find(({ command }) => command === id)?.enablement ?? '';
  for (const id of [
    COMMANDS.startServer,
    COMMANDS.startServerWithFault,
    COMMANDS.startServerScenario,
    COMMANDS.attach,
    COMMANDS.attachUrl,
    COMMANDS.record,
  ]) {
    expect(enablement(id)).toContain('isWorkspaceTrusted');
  }
  expect(enablement(COMMANDS.openCapture)).toBe('');
  expect(manifest.capabilities.untrustedWorkspaces.supported).toBe('limited');
});

test('menus and welcome texts name only commands and views that exist', () => {
  const entries = Object.values(contributes.menus).flat();
  for (const { command } of entries) expect(commandIds).toContain(command);
  const views: readonly string[] = Object.values(VIEWS);
  for (const { view } of contributes.viewsWelcome) expect(views).toContain(view);
  for (const [, command] of read('package.nls.json').matchAll(/\(command:([\w.]+)\)/g)) {
    if (!command?.startsWith('workbench.')) expect(commandIds).toContain(command);
  }
});

test('conditions name only what the code sets', () => {
  const known = new Set<string>([
    ...Object.values(CONTEXT_KEYS),
    ...Object.values(VIEWS),
    ...Object.values(COMMANDS),
    ...Object.values(SETTINGS),
    CAPTURE_EDITOR,
    LIVE_PANEL,
    WALKTHROUGH,
  ]);
  const unknown = [...text.matchAll(/\bsyncscope\.[A-Za-z.]+/g)].map(([id]) => id).filter((id) => !known.has(id));
  // The package's own name in the marketplace is spelled like an id.
  expect(unknown.filter((id) => id !== EXTENSION_ID)).toEqual([]);
});

test('tree items in conditions are those of the code', () => {
  const items = Object.values(TREE_ITEMS);
  const conditions = contributes.menus['view/item/context']?.map(({ when }) => when ?? '') ?? [];
  expect(conditions.length).toBeGreaterThan(0);
  for (const when of conditions) {
    const [, exact] = / viewItem == ([\w.]+)/.exec(when) ?? [];
    const [, pattern] = / viewItem =~ \/(.+)\//.exec(when) ?? [];
    const matched = items.filter((item) => item === exact || (pattern !== undefined && new RegExp(pattern).test(item)));
    expect(matched, when).not.toEqual([]);
  }
});

test('every text of the manifest is translated, and nothing else is', () => {
  const used = new Set([...text.matchAll(/"%([^%"]+)%"/g)].map(([, key]) => key));
  expect([...used].sort()).toEqual(Object.keys(translations).sort());
});

test('nothing is activated without being asked for', () => {
  expect(manifest.activationEvents).toEqual([]);
});

test('the files that the manifest names exist', () => {
  const files = [
    ...contributes.viewsContainers.activitybar.map(({ icon }) => icon),
    ...contributes.walkthroughs.flatMap(({ steps }) => steps.map(({ media }) => media.markdown)),
  ];
  for (const file of files) expect(read(file).length).toBeGreaterThan(50);
});

test('a walkthrough step is done by what the extension knows', () => {
  const steps = contributes.walkthroughs.flatMap(({ steps }) => steps);
  expect(steps.length).toBeGreaterThanOrEqual(4);
  expect(steps.length).toBeLessThanOrEqual(6);
  const known = new Set([
    ...Object.values(COMMANDS).map((id) => `onCommand:${id}`),
    ...Object.values(CONTEXT_KEYS).map((key) => `onContext:${key}`),
  ]);
  for (const event of steps.flatMap(({ completionEvents }) => completionEvents)) expect(known).toContain(event);
});
