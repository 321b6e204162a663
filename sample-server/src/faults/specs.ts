import { SyncError } from '@syncscope/protocol/errors';
import { milliseconds } from '@syncscope/protocol/ports';
import { recordKey, replicaId } from '@syncscope/protocol/state';
import type { FaultSpec } from '@syncscope/protocol/trace';

/** A fault as asked for on the command line: what, and when after the start. */
export interface PlannedFault {
  readonly spec: FaultSpec;
  /** Nanoseconds after the start of the session. */
  readonly at: number;
}

export const FAULT_SYNTAX = [
  'corrupt:REPLICA@TIME[:KEY[.FIELD]]',
  'drop-delta:REPLICA@TIME',
  'latency:TIME[±TIME][:REPLICA]',
  'loss:PERCENT%[:REPLICA]',
] as const;

/** The longest that a link may hold a frame back. */
const LATENCY_MAX_MS = 60_000;

/**
 * Reads a `--fault`, such as `corrupt:bot-2@3s:item/golden_key.owner` or `latency:80ms±40ms`.
 * @throws SyncError `FAULT_INVALID`, which says what is allowed
 */
export function parseFault(text: string): PlannedFault {
  const [kind, ...rest] = text.split(':');
  try {
    switch (kind) {
      case 'corrupt': {
        const { target, at } = parseTargetAndTime(only(rest, 1, 2)[0]);
        return { spec: { fault: 'corrupt', target, ...parseField(rest[1]) }, at };
      }
      case 'drop-delta': {
        const { target, at } = parseTargetAndTime(only(rest, 1, 1)[0]);
        return { spec: { fault: 'drop-delta', target }, at };
      }
      case 'latency': {
        const [mean, jitter = '0ms'] = only(rest, 1, 2)[0]?.split(/±|\+-/u, 2) ?? [];
        return {
          spec: { fault: 'latency', mean: parseTime(mean), jitter: parseTime(jitter), ...parseTarget(rest[1]) },
          at: 0,
        };
      }
      case 'loss':
        return { spec: { fault: 'loss', rate: parsePercent(only(rest, 1, 2)[0]), ...parseTarget(rest[1]) }, at: 0 };
      default:
        throw new Error(`there is no fault ${JSON.stringify(kind)}`);
    }
  } catch (error) {
    throw faultInvalid(`${JSON.stringify(text)}: ${error instanceof Error ? error.message : String(error)}`, error);
  }
}

/**
 * Checks what an observer or a flag asked for beyond its shape.
 * @throws SyncError `FAULT_INVALID`
 */
export function checkFault(spec: FaultSpec): void {
  if (spec.fault === 'loss' && !(spec.rate >= 0 && spec.rate <= 1)) {
    throw faultInvalid(`a loss of ${spec.rate} is not from 0 to 1`);
  }
  if (spec.fault === 'latency') {
    const { mean, jitter } = spec;
    if (!(mean >= 0 && jitter >= 0 && mean + jitter <= LATENCY_MAX_MS)) {
      throw faultInvalid(`a latency of ${mean} ms ± ${jitter} ms is not from 0 to ${LATENCY_MAX_MS} ms`);
    }
  }
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
