import * as vscode from 'vscode';
import type { App } from '../app.ts';
import { askStartFaults, parseStartFaults } from '../faults.ts';
import { VIEWS } from '../ids.ts';
import { SCENARIOS } from '../server/scenarios.ts';
import { readSettings } from '../settings.ts';
import { requireTrust } from '../trust.ts';

/** Starts the sample server; `{faults}` are as on its command line. Returns the id of its session. */
export async function startServer(app: App, argument: unknown): Promise<string> {
  requireTrust(vscode.l10n.t('Starting the sample server'));
  const faults =
    typeof argument === 'object' && argument !== null && 'faults' in argument ? argument.faults : undefined;
  return await start(app, parseStartFaults(faults));
}

/** Asks for faults first, where none are given as a text or a list of texts. */
export async function startServerWithFault(app: App, argument: unknown): Promise<string | undefined> {
  requireTrust(vscode.l10n.t('Starting the sample server'));
  const isGiven = typeof argument === 'string' || Array.isArray(argument);
  const faults = isGiven ? parseStartFaults(argument) : await askStartFaults();
  return faults && (await start(app, faults));
}

/** Asks which session to play, where none is given as a name. */
export async function startServerScenario(app: App, argument: unknown): Promise<string | undefined> {
  requireTrust(vscode.l10n.t('Starting the sample server'));
  const isGiven = typeof argument === 'string' && SCENARIOS.some(({ name }) => name === argument);
  const scenario = isGiven ? argument : await askScenario();
  return scenario && (await start(app, [], scenario));
}

async function askScenario(): Promise<string | undefined> {
  const items = SCENARIOS.map(({ name, title, detail }) => ({ label: title, detail, name }));
  const chosen = await vscode.window.showQuickPick(items, { title: vscode.l10n.t('Which session should be played?') });
  return chosen?.name;
}

export async function stopServer(app: App): Promise<void> {
  await app.server.stop();
  await app.store.refresh();
}

async function start(app: App, faults: readonly string[], scenario?: string): Promise<string> {
  const { bots, seed } = readSettings();
  const discovery = await vscode.window.withProgress(
    { location: { viewId: VIEWS.sessions }, title: vscode.l10n.t('Starting the sample server') },
    () => app.server.start({ bots, seed, faults, ...(scenario === undefined ? {} : { scenario }) }),
  );
  await app.store.refresh();
  return discovery.id;
}
