import type { Settings } from '../settings.ts';

export interface StartOptions extends Pick<Settings, 'bots' | 'seed'> {
  /** As on the server's command line, such as `corrupt:bot-2@3s`. */
  readonly faults: readonly string[];
  /** `adventure` where absent. */
  readonly scenario?: string;
}

const PEER_SCENARIOS: readonly string[] = ['craps', 'call'];

/** The command line of the sample server: a free port of loopback. */
export function serverArguments({ bots, seed, faults, scenario = 'adventure' }: StartOptions): string[] {
  const fixed = ['--scenario', scenario, '--port', '0'];
  // How many make a table or a call, the scenario knows better than a setting for all.
  const players = PEER_SCENARIOS.includes(scenario) ? [] : ['--bots', String(bots)];
  return [...fixed, ...players, '--seed', String(seed), ...faults.flatMap((fault) => ['--fault', fault])];
}

/** A log is pasted into bug reports: tokens are left out of it. */
export function withoutTokens(text: string): string {
  return text.replaceAll(/[0-9a-f]{64}/gi, '…');
}
