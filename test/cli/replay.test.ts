import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CaptureWriter, encodeTraceRecord, memorySink, memorySource, openCapture } from '@syncscope/protocol/capture';
import { StateRoot } from '@syncscope/protocol/merkle';
import { PROTOCOL_VERSION } from '@syncscope/protocol/messages';
import { recordSimulation } from '@syncscope/protocol/simulator';
import { recordKey, replicaId } from '@syncscope/protocol/state';
import { TRACE_VERSION, TraceHub } from '@syncscope/protocol/trace';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type RunningServer, startSampleServer } from '../support/sample-server.ts';
import { cli, cliJson } from './cli.ts';

const folder = mkdtempSync(join(tmpdir(), 'syncscope-replay-'));
const env = { SYNCSCOPE_SESSIONS_DIR: join(folder, 'sessions') };
const path = (name: string): string => join(folder, name);
const session = path('session.mcap');
const attached = path('attached.mcap');
let delta = 0;
let server: RunningServer;

beforeAll(async () => {
  const { capture, records } = await recordSimulation({ seed: 11, without: ['crash', 'disk', 'corrupt', 'clock'] });
  writeFileSync(session, capture);
  delta = records.find(({ body }) => body.kind === 'receive' && body.type === 'DELTA_SYNC')?.seq ?? 0;
  server = await startSampleServer(['--bots', '3', '--seed', '7'], env);
  const { url, token } = server;
  await cli(['record', '--url', url, '--token', token, '--seconds', '2', '-o', attached], env);
}, 60_000);

/** Two write one register at one moment; a third write is of another. */
async function registerCapture(): Promise<Uint8Array> {
  const sink = memorySink();
  const header = {
    ...{
      sessionId: 'register',
      title: 'Register',
      scenario: 'register',
      startedAt: 0,
      authority: null,
      build: 'app 1',
    },
    ...{ traceVersion: TRACE_VERSION, protocolVersion: PROTOCOL_VERSION },
  };
  const writer = new CaptureWriter(sink, header);
  const hub = new TraceHub({ now: () => 0 });
  hub.listen((record) => writer.append(encodeTraceRecord(record)));
  const write = (name: string, key: string, at: number): void => {
    const replica = replicaId(name);
    const counter = 1;
    hub.emit(replica, { kind: 'replica', role: 'peer' });
    const vector = [{ replica, counter }];
    const told = { crdt: 'register', origin: 'local', writer: replica, counter, vector, detail: `set ${key}` } as const;
    const made = hub.emit(replica, { kind: 'operation', ...told });
    const record = { at, by: name };
    const root = StateRoot.from([[recordKey(key), record]]).hash;
    const changes = [{ op: 'put' as const, key: recordKey(key), record }];
    hub.emit(replica, { kind: 'apply', from: 0, to: 1, changes, root }, [made]);
  };
  write('ann', 'register/title', 7);
  write('cid', 'register/colour', 7);
  write('bob', 'register/title', 7);
  await writer.end();
  return sink.bytes();
}

/** The last write by the clock on the wall, and of two at one moment the one that comes later. */
const REGISTER_MODULE = `import { StateRoot } from ${JSON.stringify(import.meta.resolve('@syncscope/protocol/merkle'))};
export const crdts = {
  register: () => {
    const records = new Map();
    return {
      apply: ({ entries }) => {
        for (const [key, record] of entries) if (!(records.get(key)?.at > record.at)) records.set(key, record);
      },
      root: () => StateRoot.from(records),
    };
  },
};
`;

afterAll(async () => {
  await server.program.stop();
  rmSync(folder, { recursive: true, force: true });
});

describe('replay', () => {
  it('runs a session again to the same records', async () => {
    const { code, document } = await cliJson(['replay', session]);
    expect(code).toBe(0);
    expect(document).toMatchObject({ schema: 'syncscope/replay@1', status: 'equal', level: 'app' });
    expect(document.hashes).toBeGreaterThan(100);
  });

  it('runs a session that was attached to later again from there', async () => {
    const { code, document } = await cliJson(['replay', attached]);
    expect(document).toMatchObject({ status: 'equal', level: 'app' });
    expect(code).toBe(0);
  });

  it('runs no code that is not trusted (T9)', async () => {
    const module = path('never.mjs');
    writeFileSync(
      module,
      `import { writeFileSync } from 'node:fs'; writeFileSync(${JSON.stringify(path('ran'))}, '');`,
    );
    const { code, document } = await cliJson(['replay', session, '--definition', module]);
    expect(code).toBe(2);
    expect(document).toMatchObject({ error: { code: 'TRUST_REQUIRED' } });
    expect(() => readFileSync(path('ran'))).toThrow();
  });

  it('ends code that does not end (T10)', async () => {
    const module = path('loop.mjs');
    writeFileSync(module, 'export const definition = { name: "loop", commands: {}, reduce: () => [] }; for (;;) {}');
    const { code, document } = await cliJson(['replay', session, '--definition', module, '--trust', '--timeout', '1']);
    expect(code).toBe(2);
    expect(document).toMatchObject({ error: { code: 'REPLAY_TIMEOUT' } });
  });

  it('names the record at which another definition goes another way', async () => {
    const module = path('other.mjs');
    writeFileSync(module, 'export const definition = { name: "other", commands: {}, reduce: () => [] };');
    const { code, document } = await cliJson(['replay', session, '--definition', module, '--trust']);
    expect(code).toBe(1);
    expect(document).toMatchObject({ status: 'differs', difference: { seq: expect.any(Number) } });
  });

  it('refuses a module without a definition', async () => {
    const module = path('empty.mjs');
    writeFileSync(module, 'export const nothing = 1;');
    const { document } = await cliJson(['replay', session, '--definition', module, '--trust']);
    expect(document).toMatchObject({ error: { code: 'DEFINITION_INVALID' } });
  });
});

describe('play', () => {
  it('plays no recording of a protocol that this build does not speak', async () => {
    const sink = memorySink();
    const session = { sessionId: 'later', title: 'Later', scenario: 'none', startedAt: 0, build: 'app 1' };
    const versions = { traceVersion: TRACE_VERSION, protocolVersion: PROTOCOL_VERSION + 1 };
    const writer = new CaptureWriter(sink, { ...session, ...versions, authority: replicaId('server') });
    await writer.end();
    const file = path('later.mcap');
    writeFileSync(file, sink.bytes());
    const { code, document } = await cliJson(['play', file, '--url', 'ws://127.0.0.1:1', '--token', 'some token']);
    expect(code).toBe(2);
    expect(document).toMatchObject({ error: { code: 'PLAY_PROTOCOL' } });
  });
});

const DELTAS = 'kind:receive and type:DELTA_SYNC';

/** The numbers of the records of an export. */
function numbersIn({ stdout }: { readonly stdout: string }) {
  return stdout.matchAll(/"seq":(\d+)/g);
}

describe('whatif', () => {
  it('writes a branch that opens, says what was edited, and runs again', async () => {
    const branch = path('branch.mcap');
    const { code, document } = await cliJson(['whatif', session, '--at', `${delta}`, '--drop', '-o', branch]);
    expect(code).toBe(0);
    expect(document).toMatchObject({
      schema: 'syncscope/whatif@1',
      isEqual: false,
      edit: { kind: 'drop', seq: delta },
    });
    const opened = await openCapture(memorySource(readFileSync(branch)));
    const { record } = await opened.record(0);
    expect(record.body).toMatchObject({ kind: 'log', text: expect.stringContaining(`drop ${delta}`) });
    expect((await cli(['replay', branch])).code).toBe(0);
  });

  it('takes several messages, each with what is done to it behind it', async () => {
    const seqs = [...numbersIn(await cli(['export', session, '--unredacted', '--format', 'json', '--filter', DELTAS]))];
    const [first, second] = seqs.map(([, seq]) => Number(seq)).filter((seq) => seq > delta);
    const args = ['--at', `${first}`, '--drop', '--at', `${second}`, '--delay', '120'];
    const { code, document } = await cliJson(['whatif', session, ...args]);
    expect([code, document.edits]).toEqual([
      0,
      [
        { kind: 'drop', seq: first },
        { kind: 'delay', seq: second, by: 120e6 },
      ],
    ]);
  });

  it('asks for one edit of a message', async () => {
    const wrong = [[], ['--drop', '--duplicate'], ['--edit', 'to'], ['--drop', '--at', `${delta}`]];
    for (const args of wrong) {
      const { code, document } = await cliJson(['whatif', session, '--at', `${delta}`, ...args]);
      expect(code).toBe(2);
      expect(document).toMatchObject({ error: { code: 'EDIT_INVALID' } });
    }
    const { document } = await cliJson(['whatif', session, '--at', '1', '--drop']);
    expect(document).toMatchObject({ error: { code: 'EDIT_UNKNOWN' } });
  });
});

describe('compare, blame and converge', () => {
  it('find a capture equal to itself and another one not', async () => {
    expect(await cliJson(['compare', session, session])).toMatchObject({ code: 0, document: { isEqual: true } });
    expect(await cliJson(['compare', session, attached])).toMatchObject({ code: 1, document: { isEqual: false } });
  });

  it('name who wrote a value of a live session, oldest first', async () => {
    const { entries } = (await cliJson(['state', attached, '--replica', 'server'])).document as unknown as {
      entries: { key: string; changedAt: number }[];
    };
    // Rooms are there from the start; players may have come after the first state that was recorded.
    const rooms = entries.filter(({ key }) => key.startsWith('room/'));
    const changed = rooms.toSorted((a, b) => b.changedAt - a.changedAt)[0];
    const { code, document } = await cliJson(['blame', attached, changed?.key ?? '', '--replica', 'server']);
    expect(code).toBe(0);
    const list = document.entries as { position: number; seq: number; rule: string; writer?: string }[];
    expect(list[0]?.rule).toBe('first state');
    expect(list.at(-1)).toMatchObject({ rule: 'commit order', writer: expect.any(String), vector: expect.any(Array) });
    // A moment may be the record that was told.
    const { seq, position } = list.at(-1)!;
    const there = await cliJson(['state', attached, '--replica', 'server', '--at', `seq:${seq}`]);
    expect(there.document).toMatchObject({ position });
    const { key } = changed ?? {};
    for (const path of [`${key}.name`, `"${key}".name`, `${key?.replace('/', '/"')}".name`]) {
      const { document: named } = await cliJson(['blame', attached, path]);
      expect(named).toMatchObject({ key, field: 'name', entries: [{ rule: 'first state' }] });
    }
  });

  it('run a session of peers again, branch it, and put what they did in other orders', async () => {
    const peers = path('peers.mcap');
    const { capture, records } = await recordSimulation({ seed: 3, scenario: 'partition', length: 2_000 });
    writeFileSync(peers, capture);
    expect(await cliJson(['replay', peers])).toMatchObject({ code: 0, document: { status: 'equal', level: 'app' } });
    const lost = records.find(({ body }) => body.kind === 'receive' && body.type === 'PEER_CHANGES')?.seq;
    const branch = await cliJson(['whatif', peers, '--at', `${lost}`, '--drop']);
    expect(branch).toMatchObject({ code: 0, document: { isEqual: false } });
    const { code, document } = await cliJson(['converge', peers]);
    expect(code).toBe(0);
    expect(document).toMatchObject({ status: 'converges', kind: 'mutations', orders: 50 });
  });

  it('name the two operations of an app’s own type that do not commute, by the module that merges them', async () => {
    const file = path('register.mcap');
    writeFileSync(file, await registerCapture());
    const module = path('register.mjs');
    writeFileSync(module, REGISTER_MODULE);
    expect(await cliJson(['converge', file])).toMatchObject({
      code: 2,
      document: { error: { code: 'CONVERGE_UNKNOWN' } },
    });
    const { code, document } = await cliJson(['converge', file, '--definition', module, '--trust']);
    expect(code).toBe(1);
    expect(document).toMatchObject({
      status: 'differs',
      kind: 'operations',
      conflict: {
        before: [],
        orders: [
          ['ann:1', 'bob:1'],
          ['bob:1', 'ann:1'],
        ],
        differences: [
          {
            key: 'register/title',
            values: [
              { at: 7, by: 'bob' },
              { at: 7, by: 'ann' },
            ],
          },
        ],
      },
    });
    const { stdout } = await cli(['converge', file, '--definition', module, '--trust']);
    expect(stdout).toMatch(/one order +ann:1, bob:1/);
    expect(stdout).toMatch(/the other +bob:1, ann:1/);
  });

  it('run the operations of a live session in other orders', async () => {
    const { code, document } = await cliJson(['converge', attached, '--orders', '10']);
    expect([0, 1]).toContain(code);
    expect(document).toMatchObject({ schema: 'syncscope/converge@1', status: code === 0 ? 'converges' : 'differs' });
    expect(document.operations).toBeGreaterThan(0);
  });
});
