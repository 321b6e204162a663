import { SyncError } from '@syncscope/protocol/errors';
import { type FaultSpec, faultSpecSchema } from '@syncscope/protocol/trace';
import * as vscode from 'vscode';
import type { LiveSession } from './live/live-session.ts';

/** Faults with which the sample server can be started, as on its command line. */
function startFaults(): Array<vscode.QuickPickItem & { readonly spec: string }> {
  return [
    { spec: 'corrupt:bot-2@5s', label: vscode.l10n.t('Corrupt a value of bot-2 after 5 s') },
    { spec: 'drop-delta:bot-1@5s', label: vscode.l10n.t('Do not deliver one delta to bot-1 after 5 s') },
    { spec: 'latency:80ms±40ms', label: vscode.l10n.t('Latency of 80 ms ± 40 ms on every link') },
    { spec: 'loss:2%', label: vscode.l10n.t('Lose 2 % of all messages') },
  ].map((item) => ({ ...item, description: item.spec }));
}

/** Asks with which faults to start; `undefined` where the user turned back. */
export async function askStartFaults(): Promise<string[] | undefined> {
  const chosen = await vscode.window.showQuickPick(startFaults(), {
    canPickMany: true,
    title: vscode.l10n.t('Start the sample server with these faults'),
  });
  return chosen && chosen.length > 0 ? chosen.map(({ spec }) => spec) : undefined;
}

type FaultKind = FaultSpec['fault'];

/** Asks which fault and whom it strikes; `target` is not asked for where it is given. */
export async function askFault(live: LiveSession, target?: string): Promise<FaultSpec | undefined> {
  const kinds: Array<vscode.QuickPickItem & { readonly fault: FaultKind }> = [
    { fault: 'corrupt', label: vscode.l10n.t('Corrupt a value'), detail: vscode.l10n.t("One client's copy drifts") },
    {
      fault: 'drop-delta',
      label: vscode.l10n.t('Drop the next delta'),
      detail: vscode.l10n.t('One client misses an update'),
    },
    {
      fault: 'latency',
      label: vscode.l10n.t('Latency of 80 ms ± 40 ms'),
      detail: vscode.l10n.t('On the way to one client'),
    },
    {
      fault: 'loss',
      label: vscode.l10n.t('Lose 2 % of the messages'),
      detail: vscode.l10n.t('On the way to one client'),
    },
  ];
  const chosen = await vscode.window.showQuickPick(kinds, { title: vscode.l10n.t('Inject a fault') });
  if (!chosen) return undefined;
  const struck = target ?? (await vscode.window.showQuickPick([...live.targets], { title: vscode.l10n.t('Whom?') }));
  if (struck === undefined) return undefined;
  const numbers = { latency: { mean: 80, jitter: 40 }, loss: { rate: 0.02 }, corrupt: {}, 'drop-delta': {} };
  return parseFault({ fault: chosen.fault, target: struck, ...numbers[chosen.fault] });
}

/** A fault from anywhere. Throws `SCHEMA_MISMATCH` with the path of what is wrong. */
export function parseFault(value: unknown): FaultSpec {
  return faultSpecSchema.parse(value, 'fault');
}

const START_FAULT = /^[a-z][a-z-]{0,30}:[\p{L}\p{N}@%±.:_-]{1,100}$/u;

/** Faults for the server's command line from anywhere. Throws `SETTING_INVALID`. */
export function parseStartFaults(value: unknown): string[] {
  if (value === undefined) return [];
  const list = Array.isArray(value) ? value : [value];
  return list.map((one: unknown) => {
    if (typeof one === 'string' && START_FAULT.test(one)) return one;
    throw new SyncError(
      'SETTING_INVALID',
      vscode.l10n.t('{0} is no fault, such as "corrupt:bot-2@3s".', JSON.stringify(one)?.slice(0, 80) ?? 'undefined'),
      { origin: 'setting' },
    );
  });
}
