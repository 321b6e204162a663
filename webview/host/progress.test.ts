import { afterAll, afterEach, expect, test, vi } from 'vitest';
import { clearProgress, progress, showProgress, watched, withoutProgress } from './progress.ts';

let now = 1_000_000;
vi.spyOn(performance, 'now').mockImplementation(() => now);
const told: string[] = [];
vi.spyOn(process.stderr, 'write').mockImplementation((text) => {
  told.push(String(text));
  return true;
});
const wasTerminal = process.stderr.isTTY;

afterAll(() => void vi.restoreAllMocks());

function onTerminal(isTerminal: boolean): void {
  Object.defineProperty(process.stderr, 'isTTY', { value: isTerminal, configurable: true });
}

afterEach(() => {
  told.length = 0;
  onTerminal(wasTerminal);
});

const source = { size: async () => 10, read: async (_: number, length: number) => new Uint8Array(length) };

test('on a terminal a line is shown, ten times a second at most, escaped, and gone before the answer', async () => {
  onTerminal(true);
  const watching = watched(source, 'a\u001b[2J.mcap');
  now += 200;
  expect(await watching.read(0, 7)).toHaveLength(7);
  now += 50;
  await watching.read(0, 7);
  expect(told).toEqual(['\ra\\u{1b}[2J.mcap: 7 B read\u001b[K']);
  clearProgress();
  clearProgress();
  expect(told.slice(1)).toEqual(['\r\u001b[K']);
});

test('a share says more than what was read', async () => {
  onTerminal(true);
  const watching = watched(source, 'a.mcap');
  const tell = progress();
  now += 200;
  await watching.read(0, 7);
  tell?.(1, 4);
  expect(told).toEqual(['\r25 %\u001b[K']);
});

test('nothing is shown in a pipe, or where the answer goes to the terminal', () => {
  onTerminal(false);
  now += 200;
  showProgress(() => 'half');
  expect(progress()).toBeUndefined();
  expect(watched(source, 'a.mcap')).toBe(source);
  clearProgress();
  onTerminal(true);
  withoutProgress();
  now += 200;
  showProgress(() => 'half');
  expect(told.filter((text) => text.includes('half'))).toEqual([]);
});
