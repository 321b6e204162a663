import * as vscode from 'vscode';

export interface ScenarioChoice {
  /** As on the server's command line. */
  readonly name: string;
  readonly title: string;
  readonly detail: string;
  /** What those who play are called, with a number behind it. */
  readonly players: 'bot' | 'peer';
}

/** What the sample server can play. */
export const SCENARIOS: readonly ScenarioChoice[] = [
  {
    name: 'adventure',
    title: vscode.l10n.t('Adventure'),
    detail: vscode.l10n.t('Players walk through a house; a server decides'),
    players: 'bot',
  },
  {
    name: 'board',
    title: vscode.l10n.t('Board'),
    detail: vscode.l10n.t('Shared notes, with devices that are offline for a while'),
    players: 'bot',
  },
  {
    name: 'craps',
    title: vscode.l10n.t('Craps'),
    detail: vscode.l10n.t('Five peers at a table decide by majority'),
    players: 'peer',
  },
  {
    name: 'call',
    title: vscode.l10n.t('Call'),
    detail: vscode.l10n.t('A conference of peers, each with a copy of the call'),
    players: 'peer',
  },
];
