import * as vscode from 'vscode';
import type { App } from '../app.ts';
import { askStartFaults, parseStartFaults } from '../faults.ts';
import { VIEWS } from '../ids.ts';
import { SCENARIOS, type ScenarioChoice } from '../server/scenarios.ts';
import { readSettings } from '../settings.ts';
import { requireTrust } from '../trust.ts';

/** Starts the sample server; `{faults}` are as on its command line. Returns the id of its session. */
export async function startServer(app: App, argument: unknown): Promise<string> {
  requireTrust(vscode.l10n.t('Starting the sample server'));
  const faults =
    typeof argument === 'object' && argument !== null && 'faults' in argument ? argument.faults : undefined;
  return await start(app, parseStartFaults(faults));
}

/** Asks for the session and its faults first, where none are given as a text or a list of texts, which are for the adventure. */
export async function startServerWithFault(app: App, argument: unknown): Promise<string | undefined> {
  requireTrust(vscode.l10n.t('Starting the sample server'));
  if (typeof argument === 'string' || Array.isArray(argument)) return await start(app, parseStartFaults(argument));
  const scenario = await askScenario();
  const faults = scenario && (await askStartFaults(scenario.players));
  return faults && (await start(app, faults, scenario.name));
}

/** Asks which session to play, where none is given as a name. */
export async function startServerScenario(app: App, argument: unknown): Promise<string | undefined> {
  requireTrust(vscode.l10n.t('Starting the sample server'));
  const scenario = SCENARIOS.find(({ name }) => name === argument) ?? (await askScenario());
  return scenario && (await start(app, [], scenario.name));
}

async function askScenario(): Promise<ScenarioChoice | undefined> {
  const items = SCENARIOS.map((scenario) => ({ label: scenario.title, detail: scenario.detail, scenario }));
  const chosen = await vscode.window.showQuickPick(items, { title: vscode.l10n.t('Which session should be played?') });
  return chosen?.scenario;
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
