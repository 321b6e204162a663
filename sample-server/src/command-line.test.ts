import { expect, test } from 'vitest';
import { parseCommandLine } from './command-line.ts';

test('everything at once', () => {
  const args =
    '--scenario adventure --bots 2 --port 0 --seed 7 --fault loss:2% --fault drop-delta:bot-1@2s --seconds 1.5 --host ::1 --assets dist --no-verify-reducer';
  expect(parseCommandLine(args.split(' '))).toMatchObject({
    help: false,
    seconds: 1.5,
    options: {
      scenario: 'adventure',
      bots: 2,
      port: 0,
      seed: 7,
      host: '::1',
      assets: 'dist',
      verifyReducer: false,
      faults: [{ spec: { fault: 'loss', rate: 0.02 } }, { spec: { fault: 'drop-delta' } }],
    },
  });
  expect(parseCommandLine([])).toEqual({ help: false, options: {}, seconds: undefined });
  expect(parseCommandLine(['-h'])).toEqual({ help: true });
});

test('what the flight recorder redacts', () => {
  const options = (...args: string[]) => {
    const read = parseCommandLine(['--flight-recorder', 'x', ...args]);
    return read.help ? undefined : read.options.flightRecorder;
  };
  expect(options()).toEqual({ folder: 'x', redaction: { paths: [], patterns: [] } });
  expect(options('--redact-path', 'a/*.b', '--redact-pattern', 'c+')).toEqual({
    folder: 'x',
    redaction: { paths: ['a/*.b'], patterns: ['c+'] },
  });
  expect(options('--unredacted')).toEqual({ folder: 'x', redaction: false });
});

test.each([
  [['--scenario', 'chess'], 'there is adventure'],
  [['--scenario', 'constructor'], 'there is adventure'],
  [['--view', 'roof'], '--view roof: all or room'],
  [['--bots', '-1'], '--bots'],
  [['--bots', '1e9'], 'a whole number from 0 to 200'],
  [['--port', '65536'], 'from 0 to 65535'],
  [['--port'], '--port'],
  [['--seed', 'x'], '--seed x'],
  [['--seconds', '0'], '--seconds 0'],
  [['--fault', 'rain'], 'Allowed: corrupt:REPLICA@TIME'],
  [['--token', 'short'], 'at least 16'],
  [['--unredacted'], 'go with --flight-recorder'],
  [['--flight-recorder', 'x', '--unredacted', '--redact-path', 'a/*.b'], '--unredacted redacts nothing'],
  [['--flight-recorder', 'x', '--redact-path', 'email'], '--redact-path'],
  [['--flight-recorder', 'x', '--redact-pattern', '('], 'no regular expression'],
  [['--teleport'], '--teleport'],
  [['surplus'], 'surplus'],
])('%j is refused, saying what is allowed', (args, message) => {
  expect(() => parseCommandLine(args)).toThrow(
    expect.objectContaining({ code: 'USAGE', message: expect.stringContaining(message) }),
  );
});
