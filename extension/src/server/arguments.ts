import type { Settings } from '../settings.ts';

export interface StartOptions extends Pick<Settings, 'bots' | 'seed'> {
  /** As on the server's command line, such as `corrupt:bot-2@3s`. */
  readonly faults: readonly string[];
}

/** The command line of the sample server: a free port of loopback. */
export function serverArguments({ bots, seed, faults }: StartOptions): string[] {
  const fixed = ['--scenario', 'adventure', '--port', '0', '--bots', String(bots), '--seed', String(seed)];
  return [...fixed, ...faults.flatMap((fault) => ['--fault', fault])];
}

/** A log is pasted into bug reports: tokens are left out of it. */
export function withoutTokens(text: string): string {
  return text.replaceAll(/[0-9a-f]{64}/gi, '…');
}
