import { SyncError } from '@syncscope/protocol/errors';
import { type FaultSpec, faultSpecSchema, NETWORK_PRESETS } from '@syncscope/protocol/trace';
import * as vscode from 'vscode';
import type { LiveSession } from './live/live-session.ts';
import { type StartFault, startFaults } from './server/start-faults.ts';

/** Asks with which faults to start; `undefined` where the user turned back. */
export async function askStartFaults(players: 'bot' | 'peer'): Promise<string[] | undefined> {
  const offers = startFaults(players).map((fault) => ({ label: startLabel(fault), description: fault.spec }));
  const chosen = await vscode.window.showQuickPick(offers, {
    canPickMany: true,
    title: vscode.l10n.t('Start the sample server with these faults'),
  });
  return chosen && chosen.length > 0 ? chosen.map(({ description }) => description) : undefined;
}

function startLabel({ kind, target }: StartFault): string {
  switch (kind) {
    case 'corrupt':
      return vscode.l10n.t('Corrupt a value of {0} after 5 s', target);
    case 'drop-delta':
      return vscode.l10n.t('Do not deliver one delta to {0} after 5 s', target);
    case 'latency':
      return vscode.l10n.t('Latency of 80 ms ± 40 ms on every link');
    case 'loss':
      return vscode.l10n.t('Lose 2 % of all messages');
    case 'network':
      return vscode.l10n.t('Everybody on a train');
    case 'partition':
      return vscode.l10n.t('Cut {0} off after 5 s, for 10 s', target);
    case 'crash':
      return vscode.l10n.t('Crash {0} after 5 s', target);
  }
}

interface FaultOffer extends vscode.QuickPickItem {
  /** It is about everybody, and needs no target. */
  readonly isForAll?: true;
  readonly of: (target: string) => unknown;
}

/** What can be asked for by hand, and the numbers that it then has. */
function faultOffers(): FaultOffer[] {
  const toOne = vscode.l10n.t('On the way to one client and back');
  return [
    {
      label: vscode.l10n.t('Corrupt a value'),
      detail: vscode.l10n.t("One client's copy drifts"),
      of: (target) => ({ fault: 'corrupt', target }),
    },
    {
      label: vscode.l10n.t('Drop the next delta'),
      detail: vscode.l10n.t('One client misses an update'),
      of: (target) => ({ fault: 'drop-delta', target }),
    },
    {
      label: vscode.l10n.t('Latency of 80 ms ± 40 ms'),
      detail: toOne,
      of: (target) => ({ fault: 'latency', target, mean: 80, jitter: 40 }),
    },
    {
      label: vscode.l10n.t('Lose 2 % of the messages'),
      detail: toOne,
      of: (target) => ({ fault: 'loss', target, rate: 0.02 }),
    },
    {
      label: vscode.l10n.t('Deliver 5 % of the messages twice'),
      detail: toOne,
      of: (target) => ({ fault: 'duplication', target, rate: 0.05 }),
    },
    {
      label: vscode.l10n.t('Hold 5 % of the messages back by up to 200 ms'),
      detail: vscode.l10n.t('Those behind overtake them'),
      of: (target) => ({ fault: 'reordering', target, rate: 0.05, by: 200 }),
    },
    ...NETWORK_PRESETS.map((preset) => ({
      label: vscode.l10n.t('Network: {0}', preset),
      detail: toOne,
      of: (target: string) => ({ fault: 'network', target, preset }),
    })),
    {
      label: vscode.l10n.t('Network: healthy'),
      detail: vscode.l10n.t('Takes all of these away'),
      of: (target) => ({ fault: 'network', target, preset: 'healthy' }),
    },
    {
      label: vscode.l10n.t('Cut off'),
      detail: vscode.l10n.t('Nothing passes between it and the others'),
      of: (target) => ({ fault: 'partition', groups: [[target]] }),
    },
    {
      label: vscode.l10n.t('Heal every partition'),
      detail: vscode.l10n.t('Everybody reaches everybody again'),
      isForAll: true,
      of: () => ({ fault: 'partition', groups: [] }),
    },
    {
      label: vscode.l10n.t('Crash for 2 s'),
      detail: vscode.l10n.t('It forgets what is not on a disk'),
      of: (target) => ({ fault: 'crash', target, downtime: 2_000 }),
    },
    {
      label: vscode.l10n.t('Put the clock 30 s ahead'),
      detail: vscode.l10n.t('Of one replica'),
      of: (target) => ({ fault: 'clock-skew', target, by: 30_000 }),
    },
    {
      label: vscode.l10n.t('Unsteady reducer for one event'),
      detail: vscode.l10n.t('It answers something else each time'),
      of: (target) => ({ fault: 'reducer', target, events: 1 }),
    },
  ];
}

/** Asks which fault and whom it strikes; `target` is not asked for where it is given. */
export async function askFault(live: LiveSession, target?: string): Promise<FaultSpec | undefined> {
  const chosen = await vscode.window.showQuickPick(faultOffers(), { title: vscode.l10n.t('Inject a fault') });
  if (!chosen) return undefined;
  if (chosen.isForAll) return parseFault(chosen.of(''));
  const struck = target ?? (await vscode.window.showQuickPick([...live.targets], { title: vscode.l10n.t('Whom?') }));
  return struck === undefined ? undefined : parseFault(chosen.of(struck));
}

/** A fault from anywhere. Throws `SCHEMA_MISMATCH` with the path of what is wrong. */
export function parseFault(value: unknown): FaultSpec {
  return faultSpecSchema.parse(value, 'fault');
}

const START_FAULT = /^[a-z][a-z-]{0,30}:[\p{L}\p{N}@%±~+,|.:_-]{1,100}$/u;

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
