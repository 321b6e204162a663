import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Program, root } from '../support/processes.ts';
import { type RunningServer, startSampleServer } from '../support/sample-server.ts';
import { cli, cliJson, firstPart, jpeg, processJson, startCli } from './cli.ts';

const folder = mkdtempSync(join(tmpdir(), 'syncscope-cli-'));
const env = { SYNCSCOPE_SESSIONS_DIR: join(folder, 'sessions') };
const path = (name: string): string => join(folder, name);
let server: RunningServer;

/** Waits until a recording has written records, and not only its header. */
function grown(file: string): Promise<unknown> {
  const size = (): number => statSync(file, { throwIfNoEntry: false })?.size ?? 0;
  return expect.poll(size, { timeout: 30_000 }).toBeGreaterThan(5_000);
}

/** Recorded by the command itself from a real server: one without trouble, one with a corrupted bot. */
const clean = path('clean.mcap');
const corrupt = path('corrupt.mcap');

beforeAll(async () => {
  let drifting: RunningServer;
  const faults = ['--fault', 'corrupt:bot-2@3s'];
  [server, drifting] = await Promise.all([
    startSampleServer(['--bots', '4', '--seed', '7'], env),
    startSampleServer(['--bots', '3', '--seed', '7', ...faults], env),
  ]);
  const { sessions } = JSON.parse((await cli(['sessions', '--json'], env)).stdout) as {
    sessions: { id: string; pid: number }[];
  };
  const { id = '' } = sessions.find(({ pid }) => pid === server.program.pid) ?? {};
  const { url, token } = drifting;
  const recorded = await Promise.all([
    cli(['record', '--url', url, '--token', token, '--seconds', '6', '-o', corrupt], env),
    startCli(['record', '--session', id, '--seconds', '3', '-o', clean], env).exited,
  ]);
  expect(recorded.map(({ code }) => code)).toEqual([0, 0]);
  await drifting.program.stop();
}, 60_000);

afterAll(async () => {
  await server.program.stop();
  rmSync(folder, { recursive: true, force: true });
});

describe('sessions', () => {
  it('lists what runs, without tokens', async () => {
    const { stdout, code } = await cli(['sessions', '--json'], env);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toEqual({
      schema: 'syncscope/sessions@1',
      sessions: [
        {
          id: expect.stringContaining('adventure'),
          title: expect.stringContaining('Adventure'),
          scenario: 'adventure',
          url: server.url,
          pid: server.program.pid,
          startedAt: expect.any(Number),
        },
      ],
    });
    expect(stdout).not.toMatch(/[0-9a-f]{64}/);
  });

  it('prints them for people, and what to do where there is none', async () => {
    expect((await cli(['sessions'], env)).stdout).toContain(server.url);
    const none = await cli(['sessions'], { SYNCSCOPE_SESSIONS_DIR: path('nowhere') });
    expect([none.code, none.stdout]).toEqual([0, expect.stringContaining('npm start')]);
  });
});

describe('record', () => {
  it('tells as JSON what it wrote', async () => {
    const file = path('json.mcap');
    const { document, code } = await cliJson(['record', '--url', server.pageUrl, '--seconds', '1', '-o', file], env);
    expect([code, document]).toEqual([
      0,
      expect.objectContaining({
        schema: 'syncscope/record@1',
        file,
        records: expect.any(Number),
        size: statSync(file).size,
        dropped: 0,
        close: { kind: 'left', reason: expect.any(String) },
      }),
    ]);
  });

  it('is finished by Ctrl-C, and is then whole', async () => {
    const file = path('interrupted.mcap');
    const recording = startCli(['record', '--url', server.pageUrl, '-o', file], env);
    await recording.printed(/recording Adventure/);
    expect((await recording.stop('SIGINT')).code).toBe(0);
    expect((await cli(['verify', file])).code).toBe(0);
  });

  it('keeps what came before the server was killed', async () => {
    const doomed = await startSampleServer(['--bots', '2', '--seed', '3'], env);
    const file = path('killed.mcap');
    const recording = startCli(['record', '--url', doomed.pageUrl, '-o', file, '--seconds', '60'], env);
    await grown(file);
    await doomed.program.stop('SIGKILL');
    const exit = await recording.exited;
    expect([exit.code, exit.stderr]).toEqual([3, expect.stringContaining('ends early')]);
    const { document } = await cliJson(['info', file]);
    expect(document.records).toBeGreaterThan(0);
  });

  it('leaves a capture that opens where the recorder itself is killed', async () => {
    const file = path('recorder-killed.mcap');
    const recording = startCli(['record', '--url', server.pageUrl, '-o', file], env);
    await grown(file);
    await recording.stop('SIGKILL');
    const { document, code } = await cliJson(['info', file]);
    expect([code, document.cut]).toEqual([0, expect.objectContaining({ message: expect.any(String) })]);
    expect(document.records).toBeGreaterThan(0);
  });

  it('writes over a file only where that is asked for', async () => {
    const file = path('there.mcap');
    writeFileSync(file, 'the only copy');
    const args = ['record', '--url', server.pageUrl, '--seconds', '1', '-o', file];
    const refused = await cliJson(args, env);
    expect([refused.code, refused.document]).toEqual([
      2,
      expect.objectContaining({ error: expect.objectContaining({ code: 'OUTPUT_EXISTS', place: { file } }) }),
    ]);
    expect(refused.stderr).toContain('--force');
    expect(readFileSync(file, 'utf8')).toBe('the only copy');
    expect((await cli([...args, '--force'], env)).code).toBe(0);
    expect((await cli(['info', file])).code).toBe(0);
  });

  it.each([
    ['a wrong token', () => ['--url', server.url, '--token', '0'.repeat(64)], 'ATTACH_TOKEN_WRONG'],
    ['no token', () => ['--url', server.url], 'ATTACH_TOKEN_MISSING'],
    ['nobody there', () => ['--url', 'http://127.0.0.1:9', '--token', '0'.repeat(64)], 'ATTACH_UNREACHABLE'],
    ['no URL', () => ['--url', 'adventure', '--token', '00'], 'ATTACH_URL_INVALID'],
    ['an unknown session', () => ['--session', 'nothing'], 'SESSION_UNKNOWN'],
    ['a session without a name', () => ['--session', ''], 'SESSION_UNKNOWN: no session is named'],
    ['neither', () => [], 'TARGET_MISSING'],
  ])('refuses %s, and leaves no file', async (_, args, code) => {
    const file = path('refused.mcap');
    const exit = await cli(['record', ...args(), '-o', file], env);
    expect([exit.code, exit.stdout, exit.stderr]).toEqual([2, '', expect.stringContaining(code)]);
    expect(() => statSync(file)).toThrow();
  });
});

describe('info', () => {
  it('says what a capture holds', async () => {
    const { document, code } = await cliJson(['info', clean]);
    expect(code).toBe(0);
    expect(document).toMatchObject({
      schema: 'syncscope/info@1',
      header: { scenario: 'adventure', authority: 'server' },
      lost: 0,
      size: statSync(clean).size,
    });
    const replicas = document.replicas as { id: string; role: string }[];
    expect(replicas.map(({ id }) => id)).toEqual(['server', 'bot-1', 'bot-2', 'bot-3', 'bot-4']);
    expect(document).not.toHaveProperty('cut');
  });

  it('prints it for people', async () => {
    const { stdout } = await cli(['info', clean]);
    expect(stdout).toMatch(/^replica +role +first seen +last seen/m);
    expect(stdout).toMatch(/^commit +\d+$/m);
  });
});

describe('state and diff', () => {
  interface StateDocument {
    readonly version: number;
    readonly root: string;
    readonly total: number;
    readonly entries: readonly { readonly key: string; readonly record: Record<string, unknown> }[];
  }
  const stateOf = async (replica: string, at?: string): Promise<StateDocument> => {
    const args = ['state', clean, '--replica', replica, ...(at === undefined ? [] : ['--at', at])];
    const { document, code } = await cliJson(args);
    expect(code).toBe(0);
    return document as unknown as StateDocument;
  };

  it('are the same for every replica at one version', async () => {
    const { versions } = (await cliJson(['info', clean])).document as unknown as { versions: { last: number } };
    const version = versions.last - 2;
    const states = [];
    for (const replica of ['server', 'bot-1', 'bot-4']) {
      const { document } = await cliJson([
        'diff',
        clean,
        '--left',
        `server@${version}`,
        '--right',
        `${replica}@v${version}`,
      ]);
      expect(document).toMatchObject({ schema: 'syncscope/diff@1', total: 0, differences: [] });
      states.push(await stateOf(replica, String(version)));
    }
    expect(states[0]!.total).toBeGreaterThan(0);
    expect(states[0]!.entries).toHaveLength(states[0]!.total);
    for (const state of states) expect([state.version, state.root]).toEqual([version, states[0]!.root]);
  });

  it('follow a replica through time', async () => {
    const { range } = (await cliJson(['info', clean])).document as unknown as { range: { from: number; to: number } };
    const milliseconds = (range.from + (range.to - range.from) / 2) / 1e6;
    const middle = await stateOf('server', `${milliseconds.toFixed(0)}ms`);
    const end = await stateOf('server');
    expect(middle.version).toBeLessThan(end.version);
    const { document } = await cliJson(['diff', clean, '--left', `server@v${middle.version}`, '--right', 'server']);
    expect(document.total).toBeGreaterThan(0);
  });

  it('print tables for people', async () => {
    expect((await cli(['state', clean, '--replica', 'bot-1'])).stdout).toMatch(/^player\/bot-1 +\S+ +/m);
    const { stdout } = await cli(['diff', clean, '--left', 'server', '--right', 'server']);
    expect(stdout).toMatch(/agree on \d+ records/);
  });

  it.each([
    [['state', clean, '--replica', 'bot-9'], 'REPLICA_UNKNOWN'],
    [['state', clean, '--replica', 'bot-1', '--at', '999999'], 'VERSION_UNKNOWN'],
    [['state', clean, '--replica', 'server', '--at', '0'], 'VERSION_UNKNOWN'],
    [['state', clean, '--replica', 'bot-1', '--at', '0s'], 'TIME_OUTSIDE'],
    [['state', clean, '--replica', 'bot-1', '--at', 'seq:999999999'], 'RECORD_UNKNOWN'],
    [['state', clean, '--replica', 'bot-1', '--at', 'yesterday'], 'AT_INVALID'],
    [['diff', clean, '--left', 'server@x', '--right', 'server'], 'AT_INVALID'],
    [['diff', clean, '--left', '../x', '--right', 'server'], 'REPLICA_INVALID'],
  ])('refuse %j with %s', async (args, code) => {
    const exit = await cli(args);
    expect([exit.code, exit.stdout, exit.stderr]).toEqual([2, '', expect.stringContaining(code)]);
  });
});

describe('diagnose', () => {
  it('exits 0 where nothing is wrong', async () => {
    const { code, document } = await cliJson(['diagnose', clean]);
    expect([code, document]).toEqual([0, expect.objectContaining({ schema: 'syncscope/diagnose@1', findings: [] })]);
  });

  it('exits 1 with the class, the values, and the records that caused and noticed it', async () => {
    const { code, document } = await cliJson(['diagnose', corrupt]);
    const [first, ...others] = document.findings as Record<string, unknown>[];
    expect([code, others]).toEqual([1, []]);
    expect(first).toMatchObject({
      class: 'corrupted-at-rest',
      confidence: 'high',
      replica: 'bot-2',
      against: 'server',
      value: { key: expect.any(String) },
      cause: { seq: expect.any(Number) },
      evidence: [{ record: { seq: expect.any(Number) } }, expect.anything(), expect.anything()],
      repaired: { seq: expect.any(Number) },
      differences: [{ key: expect.any(String), side: 'both' }],
      confirm: expect.any(String),
    });
    // The same in the same words, whoever is asked.
    const { document: verified } = await cliJson(['verify', corrupt]);
    const told = verified.divergence as Record<string, unknown>;
    expect(told).toMatchObject({ class: first!.class, ...(first!.value as object) });
    expect((await cli(['diagnose', corrupt])).stdout).toContain(String(told.sentence));
    const { stdout } = await cli(['diagnose', corrupt]);
    expect(stdout).toContain(`cause       record ${(first!.cause as { seq: number }).seq}`);
  });

  it('exits 2 where the file cannot be read', async () => {
    const { code, document } = await cliJson(['diagnose', path('nowhere.mcap')]);
    expect([code, document]).toMatchObject([2, { error: { code: 'FILE_UNREADABLE' } }]);
  });
});

describe('verify', () => {
  it('exits 0 where every replica agrees', async () => {
    const { code, document } = await cliJson(['verify', clean]);
    expect([code, document]).toEqual([
      0,
      expect.objectContaining({ schema: 'syncscope/verify@1', status: 'agrees', missing: [] }),
    ]);
    expect(document.checked).toBeGreaterThan(0);
  });

  it('exits 1 where one diverged, and names replica, version, key, field, values and record', async () => {
    const { code, document } = await cliJson(['verify', corrupt]);
    expect([code, document.status]).toEqual([1, 'diverged']);
    const divergence = document.divergence as Record<string, unknown>;
    expect(divergence).toMatchObject({
      replica: 'bot-2',
      against: 'server',
      version: expect.any(Number),
      key: expect.stringMatching(/^[a-z]+\/./),
      field: expect.any(String),
      seq: expect.any(Number),
      class: 'corrupted-at-rest',
      repaired: true,
    });
    expect(divergence.own).not.toEqual(divergence.expected);
    const { stdout } = await cli(['verify', corrupt]);
    expect(stdout).toContain(String(divergence.sentence));
    expect(stdout).toMatch(new RegExp(`^record +${divergence.seq}$`, 'm'));
  });

  it('exits 3 where a capture was cut', async () => {
    const cut = path('cut.mcap');
    writeFileSync(cut, firstPart(clean, 0.6));
    const { code, document } = await cliJson(['verify', cut]);
    expect([code, document.status]).toEqual([3, 'incomplete']);
    expect(document.missing).toEqual([expect.stringContaining('cut')]);
  });

  it.each([
    ['no file', undefined, 'FILE_UNREADABLE'],
    ['no bytes', new Uint8Array(0), 'CAPTURE_EMPTY'],
    ['a JPEG', jpeg, 'CAPTURE_NOT_MCAP'],
    ['only the first bytes of a capture', 'head', 'CAPTURE_CUT_TOO_EARLY'],
  ])('exits 2 where there is %s', async (name, content, expected) => {
    const file = path(`${name.replaceAll(' ', '-')}.mcap`);
    if (content !== undefined) writeFileSync(file, content === 'head' ? readFileSync(clean).subarray(0, 20) : content);
    const { code, document, stderr } = await cliJson(['verify', file]);
    expect([code, document]).toEqual([
      2,
      { schema: 'syncscope/error@1', error: expect.objectContaining({ code: expected }) },
    ]);
    expect(stderr).toContain(`${expected}: `);
    expect(stderr).toContain(file);
  });
});

it('ends as a process with the code of what was found', async () => {
  const cut = path('cut-short.mcap');
  writeFileSync(cut, firstPart(clean, 0.6));
  const exits = await Promise.all([corrupt, cut, path('nowhere.mcap')].map((file) => processJson(['verify', file])));
  expect(exits.map(({ code, document }) => [code, document.schema])).toEqual([
    [1, 'syncscope/verify@1'],
    [3, 'syncscope/verify@1'],
    [2, 'syncscope/error@1'],
  ]);
});

describe('inspect', () => {
  it('serves a capture until it is stopped, and prints where', async () => {
    const inspector = startCli(['inspect', clean], env);
    const [url] = await inspector.printed(/http:\/\/127\.0\.0\.1:\d+\/#token=[0-9a-f]{64}&file=clean\.mcap/);
    const token = /token=([0-9a-f]+)/.exec(url)![1]!;
    const answer = await fetch(new URL('/capture', url), { headers: { Authorization: `Bearer ${token}` } });
    expect(Buffer.from(await answer.arrayBuffer()).equals(readFileSync(clean))).toBe(true);
    expect((await inspector.stop('SIGINT')).code).toBe(0);
  });

  it('prints one JSON document while it serves the list of sessions', async () => {
    const inspector = startCli(['inspect', '--json'], env);
    await inspector.printed(/\}\n$/);
    const { url } = JSON.parse(inspector.stdout) as { url: string };
    const token = /token=([0-9a-f]+)/.exec(url)![1]!;
    const list = await fetch(new URL('/sessions', url), { headers: { Authorization: `Bearer ${token}` } });
    expect(await list.json()).toEqual([expect.objectContaining({ url: server.url })]);
    expect((await inspector.stop()).code).toBe(0);
  });

  it('refuses a file that is not there', async () => {
    const exit = await cli(['inspect', path('missing.mcap')]);
    expect([exit.code, exit.stderr]).toEqual([2, expect.stringContaining('FILE_UNREADABLE')]);
  });
});

it('escapes what would steer a terminal (T20)', async () => {
  const exit = await cli(['state', '\u001b[2J\u202e.mcap', '--replica', 'server']);
  expect(exit.code).toBe(2);
  expect(exit.stderr).toContain('\\u{1b}[2J\\u{202e}.mcap');
});

it.each([
  [['verify']],
  [['state', clean]],
  [['record', '-o', 'x', '--seconds', '-1']],
  // More than a timer holds: it would fire at once.
  [['record', '-o', 'x', '--seconds', '3000000']],
  [['nonsense']],
  [['info', clean, '--nonsense']],
])('exits 2 on the wrong use %j and prints nothing on stdout', async (args) => {
  const exit = await cli(args, env);
  expect([exit.code, exit.stdout]).toEqual([2, '']);
  expect(exit.stderr).toContain('error:');
});

it('runs as npm script with only its answer on stdout', async () => {
  const exit = await new Program('npm', ['run', '-s', 'syncscope', '--', 'verify', clean, '--json'], env, root).exited;
  expect(exit.code).toBe(0);
  expect(JSON.parse(exit.stdout)).toMatchObject({ status: 'agrees' });
});
