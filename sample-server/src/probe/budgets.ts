import { SyncError } from '@syncscope/protocol/errors';

/** What a session is to keep to. */
export interface Budgets {
  /** From the start of the first connection to the first state, and of a later one to the welcome; milliseconds beyond the network's own. */
  readonly cold: number;
  readonly reconnect: number;
  /** From a change at one client to its being applied at another, in the middle; milliseconds beyond a round and the network's own. */
  readonly delay: number;
  /** Bytes a second that a client is sent, in the middle and at most. */
  readonly typical: number;
  readonly peak: number;
}

export const BUDGETS: Budgets = { cold: 2_000, reconnect: 1_000, delay: 50, typical: 1_000, peak: 10_000 };

/** Milliseconds between two deltas to a client. */
export const ROUND_MS = 100;

/** One line of the report. */
export interface Finding {
  readonly name: 'cold start' | 'reconnect' | 'resumed' | 'delay' | 'bytes typical' | 'bytes peak' | 'agreement';
  readonly isMet: boolean;
  /** What was measured, for people. */
  readonly text: string;
  /** In the unit of the budget; absent for what is either so or not. */
  readonly value?: number;
  readonly limit?: number;
}

export interface Figures {
  /** Milliseconds, of each client. */
  readonly coldStarts: readonly number[];
  readonly reconnects: readonly number[];
  /** Reconnections that carried on from the state that the client had. */
  readonly resumed: number;
  readonly delays: readonly number[];
  /** Bytes of each whole second of each client. */
  readonly bytes: readonly number[];
  /** Versions that several clients had, and what is wrong with that. */
  readonly compared: number;
  readonly disagreements: readonly string[];
  /** Of a frame on its way: milliseconds one way, jitter included. */
  readonly network: number;
}

/** Compares figures with budgets. What could not be measured at all is not met. */
export function findings(figures: Figures, budgets: Budgets): Finding[] {
  const { coldStarts, reconnects, resumed, delays, bytes, network, compared, disagreements } = figures;
  // Connecting takes a few ways to and fro, and a change goes up and comes down.
  const [greeting, both] = [6 * network, 2 * network];
  const delay = budgets.delay + ROUND_MS + both;
  return [
    slowest('cold start', coldStarts, budgets.cold + greeting),
    slowest('reconnect', reconnects, budgets.reconnect + greeting),
    {
      name: 'resumed',
      isMet: reconnects.length > 0 && resumed === reconnects.length,
      text: `${resumed} of ${reconnects.length} went on from the state that they had`,
    },
    {
      ...limited('delay', percentile(delays, 0.5), delay, 'ms'),
      text: `${shown(percentile(delays, 0.5))} ms in the middle, ${shown(percentile(delays, 0.95))} ms p95, of ${delays.length}`,
    },
    limited('bytes typical', percentile(bytes, 0.5), budgets.typical, 'bytes/s'),
    limited('bytes peak', percentile(bytes, 1), budgets.peak, 'bytes/s'),
    {
      name: 'agreement',
      isMet: disagreements.length === 0 && compared > 0,
      text: disagreements[0] ?? `equal roots at ${compared} versions that several had`,
    },
  ];
}

function slowest(name: Finding['name'], values: readonly number[], limit: number): Finding {
  return limited(name, percentile(values, 1), limit, 'ms');
}

function limited(name: Finding['name'], value: number | undefined, limit: number, unit: string): Finding {
  if (value === undefined) return { name, isMet: false, text: 'not measured', limit };
  return { name, isMet: value <= limit, text: `${shown(value)} ${unit}`, value, limit };
}

function shown(value: number | undefined): string {
  return value === undefined ? '?' : String(Math.round(value));
}

/** `share` 1 is the greatest, 0.5 the middle; nothing of nothing. */
export function percentile(values: readonly number[], share: number): number | undefined {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)];
}

/** Reads `delay=50,peak=10000`. @throws SyncError `USAGE` */
export function parseBudgets(text: string): Partial<Budgets> {
  const found: Record<string, number> = {};
  for (const part of text.split(',')) {
    const [, name = '', value] = /^([a-z]+)=(\d{1,9})$/.exec(part) ?? [];
    if (!Object.hasOwn(BUDGETS, name)) {
      throw new SyncError('USAGE', `--budget ${part}: NAME=NUMBER, NAME one of ${Object.keys(BUDGETS).join(', ')}`, {
        origin: 'setting',
      });
    }
    found[name] = Number(value);
  }
  return found;
}
