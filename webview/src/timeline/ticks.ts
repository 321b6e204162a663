import type { TimeRange } from '@syncscope/protocol/capture';
import { tickStep } from 'd3';

const SECOND = 1e9;
/** Steps of a clock, which is not decimal: seconds, minutes, hours, days, in nanoseconds. */
const CLOCK_STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400].map(
  (seconds) => seconds * SECOND,
);

/** The distance between ticks, nanoseconds, for about `count` of them: decimal below a second, clock steps above. */
export function timeStep(span: number, count: number): number {
  const raw = span / Math.max(count, 1);
  if (raw < SECOND) return tickStep(0, span, Math.max(count, 1));
  const fitting = CLOCK_STEPS.find((step) => step >= raw);
  return fitting ?? Math.ceil(raw / (86_400 * SECOND)) * 86_400 * SECOND;
}

export interface Tick {
  readonly time: number;
  readonly label: string;
}

/** Ticks of `range`, none before the session's start, labelled as finely as their step needs. */
export function timeTicks(range: TimeRange, count: number): Tick[] {
  const step = timeStep(range.to - range.from, count);
  const ticks: Tick[] = [];
  const first = Math.max(0, Math.ceil(range.from / step));
  for (let index = first; index * step <= range.to && ticks.length < 200; index++) {
    const time = index * step;
    ticks.push({ time, label: formatClock(time, step) });
  }
  return ticks;
}

/** `12.48 s` below a minute, `2:05` or `1:02:05` above, with as many decimals as `step` (nanoseconds) needs. */
export function formatClock(time: number, step: number): string {
  const decimals = step >= SECOND ? 0 : Math.min(9, Math.ceil(-Math.log10(step / SECOND) - 1e-9));
  // Rounded once, in the finest unit shown, so that 59.9996 does not become 60.000 s.
  const unit = 10 ** decimals;
  const total = Math.round((Math.abs(time) / SECOND) * unit);
  const sign = time < 0 && total > 0 ? '−' : '';
  const seconds = Math.floor(total / unit);
  const fraction = decimals > 0 ? `.${String(total - seconds * unit).padStart(decimals, '0')}` : '';
  if (seconds < 60) return `${sign}${seconds}${fraction} s`;
  const two = (value: number): string => String(value).padStart(2, '0');
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${sign}${minutes}:${two(seconds % 60)}${fraction}`;
  return `${sign}${Math.floor(minutes / 60)}:${two(minutes % 60)}:${two(seconds % 60)}${fraction}`;
}
