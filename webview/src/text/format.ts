import type { Value } from '@syncscope/protocol/state';
import { visible } from './visible.ts';

const NS_PER_SECOND = 1_000_000_000;

/** A moment of the capture, nanoseconds from its start: `12.480 s`, from a minute on `3:07.250`, from an hour on `1:03:07.250`. */
export function formatTime(nanoseconds: number): string {
  const totalMs = Math.floor(nanoseconds / 1_000_000);
  const ms = String(totalMs % 1000).padStart(3, '0');
  const seconds = Math.floor(totalMs / 1000);
  if (seconds < 60) return `${seconds}.${ms} s`;
  const two = (value: number) => String(value).padStart(2, '0');
  const minutes = Math.floor(seconds / 60);
  const tail = `${two(seconds % 60)}.${ms}`;
  return minutes < 60 ? `${minutes}:${tail}` : `${Math.floor(minutes / 60)}:${two(minutes % 60)}:${tail}`;
}

/** A length of time, nanoseconds, with three digits at most: `840 µs`, `12.5 ms`, `6.0 s`, `4 min 10 s`. */
export function formatDuration(nanoseconds: number): string {
  const length = Math.abs(nanoseconds);
  const sign = nanoseconds < 0 ? '−' : '';
  if (length < 1_000) return `${sign}${length} ns`;
  if (length < 1_000_000) return `${sign}${threeDigits(length / 1_000)} µs`;
  if (length < NS_PER_SECOND) return `${sign}${threeDigits(length / 1_000_000)} ms`;
  if (length < 120 * NS_PER_SECOND) return `${sign}${threeDigits(length / NS_PER_SECOND)} s`;
  const seconds = Math.round(length / NS_PER_SECOND);
  return `${sign}${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}

function threeDigits(value: number): string {
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);
}

/** `96 B`, `4.1 kB`, `12.0 MB`; powers of 1000. */
export function formatBytes(bytes: number): string {
  if (bytes < 1000) return `${bytes} B`;
  const units = ['kB', 'MB', 'GB', 'TB'];
  let value = bytes;
  let unit = -1;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${value.toFixed(1)} ${units[unit]}`;
}

const counter = new Intl.NumberFormat('en-US');

/** `1,234,567`. */
export function formatCount(count: number): string {
  return counter.format(count);
}

/** `1 record`, `12 records`. */
export function plural(count: number, one: string, many = `${one}s`): string {
  return `${formatCount(count)} ${count === 1 ? one : many}`;
}

export type ValueKind = 'string' | 'number' | 'boolean' | 'nothing' | 'bytes' | 'list' | 'map';

export function kindOfValue(value: Value | undefined): ValueKind {
  if (value === undefined || value === null) return 'nothing';
  if (typeof value === 'string') return 'string';
  if (typeof value === 'number') return 'number';
  if (typeof value === 'boolean') return 'boolean';
  if (value instanceof Uint8Array) return 'bytes';
  return Array.isArray(value) ? 'list' : 'map';
}

/** A value on one line of at most about `maxLength` characters, told apart from every other that differs: -0 from 0, "1" from 1, absent from null. */
export function formatValue(value: Value | undefined, maxLength = 200): string {
  const text = write(value, maxLength, 0);
  return text.length > maxLength ? `${text.slice(0, maxLength - 1)}…` : text;
}

const MAX_DEPTH = 8;

function write(value: Value | undefined, room: number, depth: number): string {
  if (value === undefined) return 'absent';
  if (value === null) return 'null';
  if (typeof value === 'number') return Object.is(value, -0) ? '-0' : String(value);
  if (typeof value === 'boolean') return String(value);
  if (typeof value === 'string') return quote(value, room);
  if (value instanceof Uint8Array) return writeBytes(value, room);
  if (depth >= MAX_DEPTH) return '…';
  if (Array.isArray(value)) return `[${writeItems(value, room, (item, left) => write(item, left, depth + 1))}]`;
  const names = Object.entries(value as { readonly [name: string]: Value });
  return `{${writeItems(names, room, ([name, item], left) => `${visible(name)}: ${write(item, left, depth + 1)}`)}}`;
}

function quote(text: string, room: number): string {
  const short = text.length > room ? text.slice(0, room) : text;
  return `"${visible(short.replaceAll('\\', '\\\\').replaceAll('"', '\\"'))}${short.length < text.length ? '…' : ''}"`;
}

function writeBytes(bytes: Uint8Array, room: number): string {
  const shown = bytes.subarray(0, Math.max(1, Math.floor(room / 3)));
  const hex = Array.from(shown, (byte) => byte.toString(16).padStart(2, '0')).join(' ');
  return `<${hex}${shown.length < bytes.length ? ' …' : ''}> ${formatBytes(bytes.length)}`;
}

function writeItems<T>(items: readonly T[], room: number, writeItem: (item: T, room: number) => string): string {
  let text = '';
  for (const item of items) {
    if (text.length > room) return `${text}, …`;
    text += (text === '' ? '' : ', ') + writeItem(item, room - text.length);
  }
  return text;
}
