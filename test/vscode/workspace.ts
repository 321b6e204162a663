import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export const THEMES = {
  light: 'Default Light Modern',
  dark: 'Default Dark Modern',
  'high-contrast': 'Default High Contrast',
  'high-contrast-light': 'Default High Contrast Light',
} as const;
export type Theme = keyof typeof THEMES;

export interface TestWorkspace {
  readonly folder: string;
  /** Where the sessions of this run are offered, apart from those of the machine's user. */
  readonly discovery: string;
  remove(): void;
}

/** A folder to open in VS Code: quiet settings, a theme, and files that are no captures. */
export function makeWorkspace(theme: Theme, files: Readonly<Record<string, Uint8Array | string>> = {}): TestWorkspace {
  const root = mkdtempSync(join(tmpdir(), 'syncscope-workspace-'));
  const folder = join(root, 'workspace');
  const discovery = join(root, 'sessions');
  mkdirSync(join(folder, '.vscode'), { recursive: true });
  mkdirSync(discovery, { mode: 0o700 });
  const settings = {
    'workbench.colorTheme': THEMES[theme],
    'window.autoDetectColorScheme': false,
    'workbench.startupEditor': 'none',
    'workbench.tips.enabled': false,
    'extensions.ignoreRecommendations': true,
    'chat.commandCenter.enabled': false,
    'window.commandCenter': false,
    'workbench.secondarySideBar.defaultVisibility': 'hidden',
    'git.enabled': false,
    'syncscope.captureFolder': 'captures',
  };
  writeFileSync(join(folder, '.vscode', 'settings.json'), JSON.stringify(settings, null, 2));
  for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, name), content);
  return { folder, discovery, remove: () => rmSync(root, { recursive: true, force: true, maxRetries: 5 }) };
}
