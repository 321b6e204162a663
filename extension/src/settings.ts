import { SyncError } from '@syncscope/protocol/errors';
import * as vscode from 'vscode';
import { SETTINGS } from './ids.ts';
import { isPathInside } from './path-inside.ts';

export interface Settings {
  readonly bots: number;
  readonly seed: number;
  /** A path inside the workspace, `''` for the extension's own storage. */
  readonly captureFolder: string;
  /** Whether what is secret by its name or by itself stays out of recordings. */
  readonly redactRecordings: boolean;
}

/** The settings as they are now. Throws `SETTING_INVALID` with the setting's name and what it takes. */
export function readSettings(resource?: vscode.Uri): Settings {
  const all = vscode.workspace.getConfiguration(undefined, resource);
  return {
    bots: integer(all, SETTINGS.bots, 1, 64),
    seed: integer(all, SETTINGS.seed, 0, 4_294_967_295),
    captureFolder: folderInside(all),
    redactRecordings: boolean(all, SETTINGS.redactRecordings),
  };
}

function integer(all: vscode.WorkspaceConfiguration, name: string, least: number, most: number): number {
  const value: unknown = all.get(name);
  if (typeof value === 'number' && Number.isInteger(value) && value >= least && value <= most) return value;
  throw invalid(name, value, vscode.l10n.t('a whole number from {0} to {1}', least, most));
}

function boolean(all: vscode.WorkspaceConfiguration, name: string): boolean {
  const value: unknown = all.get(name);
  if (typeof value === 'boolean') return value;
  throw invalid(name, value, vscode.l10n.t('true or false'));
}

function folderInside(all: vscode.WorkspaceConfiguration): string {
  const value: unknown = all.get(SETTINGS.captureFolder);
  if (typeof value === 'string' && isPathInside(value)) return value;
  throw invalid(
    SETTINGS.captureFolder,
    value,
    vscode.l10n.t('a relative path inside the workspace, such as "captures"'),
  );
}

function invalid(name: string, value: unknown, expected: string): SyncError {
  const shown = JSON.stringify(value) ?? 'undefined';
  return new SyncError(
    'SETTING_INVALID',
    vscode.l10n.t('The setting {0} is {1}, expected {2}.', name, shown.slice(0, 80), expected),
    { origin: 'setting', place: { path: name } },
  );
}
