import { SyncError } from '@syncscope/protocol/errors';
import { milliseconds } from '@syncscope/protocol/ports';
import { recordKey, replicaId } from '@syncscope/protocol/state';
import { type FaultSpec, NETWORK_PRESETS, type NetworkPreset } from '@syncscope/protocol/trace';

/** A fault as asked for on the command line: what, and when after the start. */
export interface PlannedFault {
  readonly spec: FaultSpec;
  /** Nanoseconds after the start of the session. */
  readonly at: number;
}

export const FAULT_SYNTAX = [
  'corrupt:REPLICA@TIME[:KEY[.FIELD]]',
  'drop-delta:REPLICA@TIME[:NEWS]',
  'latency:TIME[±TIME][:REPLICA]',
  'loss:PERCENT%[:REPLICA]',
  'duplication:PERCENT%[:REPLICA]',
  'reordering:PERCENT%~TIME[:REPLICA]',
  `network:NAME[:REPLICA], NAME one of ${NETWORK_PRESETS.map((name) => name.replaceAll(' ', '-').toLowerCase()).join(', ')}`,
  'partition:REPLICA,REPLICA|REPLICA@TIME[+TIME]',
  'crash:REPLICA@TIME[+TIME]',
  'clock-skew:REPLICA@TIME:±TIME',
  'reducer:REPLICA@TIME[:EVENTS]',
] as const;

/** The longest that a link may hold a frame back. */
const LATENCY_MAX_MS = 60_000;
/** How far a clock may be put wrong: a week. */
const SKEW_MAX_MS = 7 * 24 * 3_600_000;
const DOWNTIME_MS = 2_000;

/**
 * Reads a `--fault`, such as `corrupt:bot-2@3s:item/golden_key.owner` or `latency:80ms±40ms`. One that ends by itself is two: its end comes second.
 * @throws SyncError `FAULT_INVALID`, which says what is allowed
 */
export function parseFaults(text: string): PlannedFault[] {
  const [kind = '', ...rest] = text.split(':');
  try {
    const read = Object.hasOwn(READERS, kind) ? READERS[kind] : undefined;
    if (!read) throw new Error(`there is no fault ${JSON.stringify(kind)}`);
    const planned = read(rest);
    for (const { spec } of planned) checkFault(spec);
    return planned;
  } catch (error) {
    throw faultInvalid(`${JSON.stringify(text)}: ${error instanceof Error ? error.message : String(error)}`, error);
  }
}

const READERS: Readonly<Record<string, (rest: readonly string[]) => PlannedFault[]>> = {
  corrupt(rest) {
    const { target, at } = parseTargetAndTime(only(rest, 1, 2)[0]);
    return [{ spec: { fault: 'corrupt', target, ...parseField(rest[1]) }, at }];
  },
  'drop-delta'(rest) {
    const { target, at } = parseTargetAndTime(only(rest, 1, 2)[0]);
    const news = rest[1];
    return [{ spec: { fault: 'drop-delta', target, ...(news === undefined ? {} : { news }) }, at }];
  },
  latency(rest) {
    const [mean, jitter = '0ms'] = only(rest, 1, 2)[0]?.split(/±|\+-/u, 2) ?? [];
    const spec = {
      fault: 'latency',
      mean: parseTime(mean),
      jitter: parseTime(jitter),
      ...parseTarget(rest[1]),
    } as const;
    return [{ spec, at: 0 }];
  },
  loss: (rest) => [
    { spec: { fault: 'loss', rate: parsePercent(only(rest, 1, 2)[0]), ...parseTarget(rest[1]) }, at: 0 },
  ],
  duplication: (rest) => [
    { spec: { fault: 'duplication', rate: parsePercent(only(rest, 1, 2)[0]), ...parseTarget(rest[1]) }, at: 0 },
  ],
  reordering(rest) {
    const [rate, by] = only(rest, 1, 2)[0]?.split('~', 2) ?? [];
    const spec = { fault: 'reordering', rate: parsePercent(rate), by: parseTime(by), ...parseTarget(rest[1]) } as const;
    return [{ spec, at: 0 }];
  },
  network: (rest) => [
    { spec: { fault: 'network', preset: parsePreset(only(rest, 1, 2)[0]), ...parseTarget(rest[1]) }, at: 0 },
  ],
  partition(rest) {
    const [groups = '', time = '', ...more] = only(rest, 1, 1)[0]!.split('@');
    if (more.length > 0) throw new Error('GROUPS@TIME is wanted');
    const { at, duration } = parseTimeAndDuration(time);
    const parted = groups.split('|').map((one) => one.split(',').map(replicaId));
    const spec: FaultSpec = { fault: 'partition', groups: parted };
    const healed: PlannedFault = { spec: { fault: 'partition', groups: [] }, at: at + (duration ?? 0) };
    return duration === undefined ? [{ spec, at }] : [{ spec, at }, healed];
  },
  crash(rest) {
    const [target = '', time = '', ...more] = only(rest, 1, 1)[0]!.split('@');
    if (more.length > 0) throw new Error('REPLICA@TIME is wanted');
    const { at, duration = milliseconds(DOWNTIME_MS) } = parseTimeAndDuration(time);
    return [{ spec: { fault: 'crash', target: replicaId(target), downtime: duration / milliseconds(1) }, at }];
  },
  'clock-skew'(rest) {
    const { target, at } = parseTargetAndTime(only(rest, 2, 2)[0]);
    const [, sign, by] = /^([+-]?)(.*)$/.exec(rest[1]!)!;
    return [{ spec: { fault: 'clock-skew', target, by: parseTime(by) * (sign === '-' ? -1 : 1) }, at }];
  },
  reducer(rest) {
    const { target, at } = parseTargetAndTime(only(rest, 1, 2)[0]);
    return [{ spec: { fault: 'reducer', target, events: parseCount(rest[1] ?? '1') }, at }];
  },
};

/**
 * Checks what an observer or a flag asked for beyond its shape.
 * @throws SyncError `FAULT_INVALID`
 */
export function checkFault(spec: FaultSpec): void {
  switch (spec.fault) {
    case 'loss':
    case 'duplication':
      checkRate(spec.fault, spec.rate);
      return;
    case 'reordering':
      checkRate(spec.fault, spec.rate);
      checkTime('a reordering', spec.by, 0);
      return;
    case 'latency':
      checkTime('a latency', spec.mean, spec.jitter);
      return;
    case 'crash':
      checkTime('a downtime', spec.downtime, 0);
      return;
    case 'clock-skew':
      if (!(Math.abs(spec.by) <= SKEW_MAX_MS)) throw faultInvalid(`a clock ${spec.by} ms wrong is more than a week`);
      return;
    case 'partition':
      checkGroups(spec.groups);
      return;
    default:
  }
}

function checkRate(fault: string, rate: number): void {
  if (!(rate >= 0 && rate <= 1)) throw faultInvalid(`a ${fault} of ${rate} is not from 0 to 1`);
}

function checkTime(what: string, mean: number, jitter: number): void {
  if (mean >= 0 && jitter >= 0 && mean + jitter <= LATENCY_MAX_MS) return;
  throw faultInvalid(`${what} of ${mean} ms ± ${jitter} ms is not from 0 to ${LATENCY_MAX_MS} ms`);
}

function checkGroups(groups: readonly (readonly string[])[]): void {
  const all = groups.flat();
  const twice = all.find((one, index) => all.indexOf(one) !== index);
  if (twice !== undefined) throw faultInvalid(`${twice} is in two groups of the partition`);
  if (groups.some((group) => group.length === 0)) throw faultInvalid('a group of the partition has nobody in it');
}

function faultInvalid(what: string, cause?: unknown): SyncError {
  return new SyncError('FAULT_INVALID', `${what}. Allowed: ${FAULT_SYNTAX.join(', ')}`, { origin: 'setting', cause });
}

function only(parts: readonly string[], least: number, most: number): readonly string[] {
  if (parts.length < least) throw new Error('something is missing');
  if (parts.length > most) throw new Error('something is too much');
  return parts;
}

function parseTargetAndTime(text = ''): { target: ReturnType<typeof replicaId>; at: number } {
  const [target, time, ...more] = text.split('@');
  if (target === undefined || time === undefined || more.length > 0) throw new Error('REPLICA@TIME is wanted');
  return { target: replicaId(target), at: milliseconds(parseTime(time)) };
}

function parseTarget(text: string | undefined): { target?: ReturnType<typeof replicaId> } {
  return text === undefined ? {} : { target: replicaId(text) };
}

/** `KEY` or `KEY.FIELD`; the field is what follows the last dot. */
function parseField(text: string | undefined): { key?: string; field?: string } {
  if (text === undefined) return {};
  const dot = text.lastIndexOf('.');
  if (dot <= text.indexOf('/')) return { key: recordKey(text) };
  return { key: recordKey(text.slice(0, dot)), field: text.slice(dot + 1) };
}

/** Nanoseconds of `3s` or `3s+2s`: when, and for how long. */
function parseTimeAndDuration(text: string): { readonly at: number; readonly duration?: number } {
  const [at, duration, ...more] = text.split('+');
  if (more.length > 0) throw new Error('TIME or TIME+TIME is wanted');
  return {
    at: milliseconds(parseTime(at)),
    ...(duration === undefined ? {} : { duration: milliseconds(parseTime(duration)) }),
  };
}

function parsePreset(text = ''): NetworkPreset | 'healthy' {
  if (text === 'healthy') return text;
  const found = NETWORK_PRESETS.find((name) => name.replaceAll(' ', '-').toLowerCase() === text.toLowerCase());
  if (!found) throw new Error(`there is no network ${JSON.stringify(text)}`);
  return found;
}

function parseCount(text: string): number {
  if (!/^[1-9]\d{0,5}$/.test(text)) throw new Error(`${JSON.stringify(text)} is not a number of events`);
  return Number(text);
}

/** Milliseconds of `80ms`, `3s` or `1.5s`. */
function parseTime(text = ''): number {
  const match = /^(\d{1,6}(?:\.\d{1,3})?)(ms|s)$/.exec(text);
  if (!match) throw new Error(`${JSON.stringify(text)} is not a time such as 80ms or 3s`);
  return Number(match[1]) * (match[2] === 's' ? 1_000 : 1);
}

/** A rate from 0 to 1 of `2%`. */
function parsePercent(text = ''): number {
  const match = /^(\d{1,3}(?:\.\d{1,3})?)%$/.exec(text);
  const rate = Number(match?.[1]) / 100;
  if (!(rate >= 0 && rate <= 1)) throw new Error(`${JSON.stringify(text)} is not a share such as 2%`);
  return rate;
}
