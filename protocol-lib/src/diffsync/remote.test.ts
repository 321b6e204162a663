import fc from 'fast-check';
import { expect, test } from 'vitest';
import { merkleQuerySchema, StateRoot } from '../merkle/index.ts';
import { FrameDecoder, FrameEncoder } from '../messages/index.ts';
import { replicaId } from '../state/index.ts';
import { TraceHub } from '../trace/index.ts';
import type { Side } from './adapter.ts';
import { diffChanges, diffModels } from './diff.ts';
import {
  aDevice,
  aFolder,
  afterSteps,
  deviceKey,
  FakeSystem,
  folderKey,
  inventory,
  sideOf,
  stateOf,
  states,
  steps,
} from './inventory.test-helper.ts';
import { MemoryStore } from './memory-store.ts';
import { type ModelAnswer, ModelClient, type ModelRequest, ModelServer, type ModelServerOptions } from './remote.ts';

/** Both halves, with every message going over as its bytes. */
class Wire {
  readonly client: Side;
  readonly server: Side;
  readonly sent: ModelRequest[] = [];
  readonly answered: ModelAnswer[] = [];
  half: ModelClient;
  other: ModelServer;
  readonly #options: ModelServerOptions;
  readonly #up = overBytes('client');
  readonly #down = overBytes('server');

  constructor(client: Side, server: Side, options: ModelServerOptions = { strategies: { default: 'source' } }) {
    this.client = client;
    this.server = server;
    this.#options = options;
    this.half = new ModelClient(client, 'server');
    this.other = new ModelServer(server, options);
  }

  /** One sync to its end; `meanwhile` runs while the first push is under way. */
  async sync(meanwhile: () => void = () => undefined) {
    let request = await this.half.push();
    meanwhile();
    for (;;) {
      this.sent.push(request);
      const answer = this.#down(await this.other.answer('client', this.#up(request) as ModelRequest)) as ModelAnswer;
      this.answered.push(answer);
      const step = await this.half.receive(answer);
      if ('report' in step) return step;
      request = step.request;
    }
  }

  /** The server loses all but its models. */
  restart(): void {
    const store = new MemoryStore('server', { root: this.server.store.root() });
    Object.assign(this.server, { store });
    this.other = new ModelServer(this.server, this.#options);
  }
}

function overBytes(sender: string) {
  const encoder = new FrameEncoder(replicaId(sender));
  const decoder = new FrameDecoder();
  return (body: ModelRequest | ModelAnswer): unknown => {
    // Names go ahead of the message, which is the last.
    return encoder
      .encode(body)
      .map(({ frame }) => decoder.decode(frame))
      .at(-1);
  };
}

function edit(side: Side, to: StateRoot): void {
  side.store.apply(diffChanges(diffModels(side.store.root(), to)));
}

test('client and server come together, whatever both change, even while a push is under way or after the server forgot', async () => {
  const round = fc.record({ client: steps, server: steps, meanwhile: steps, restart: fc.boolean() });
  await fc.assert(
    fc.asyncProperty(states, fc.array(round, { maxLength: 4 }), async (base, rounds) => {
      const wire = new Wire(sideOf('client', base), sideOf('server'));
      for (const { client, server, meanwhile, restart } of rounds) {
        edit(wire.client, afterSteps(wire.client.store.root(), client));
        edit(wire.server, afterSteps(wire.server.store.root(), server));
        if (restart) wire.restart();
        await wire.sync(() => edit(wire.client, afterSteps(wire.client.store.root(), meanwhile)));
        await wire.sync();
        expect(wire.client.store.root().hash).toBe(wire.server.store.root().hash);
      }
    }),
  );
});

test('only what changed is sent', async () => {
  const base = stateOf(...Array.from({ length: 500 }, (_, id) => aFolder(id)));
  const wire = new Wire(sideOf('client', base), sideOf('server'));
  await wire.sync();
  edit(wire.client, base.apply([{ op: 'patch', key: folderKey(7), fields: { title: 'c' }, removed: [] }]));
  edit(wire.server, base.apply([{ op: 'remove', key: folderKey(8) }]));
  wire.sent.length = wire.answered.length = 0;
  await wire.sync();
  expect(wire.sent).toMatchObject([
    { type: 'MODEL_PUSH', changes: [{ op: 'patch', key: folderKey(7), fields: { title: 'c' } }] },
  ]);
  expect(wire.answered).toMatchObject([
    { type: 'MODEL_RESULT', changes: [{ op: 'remove', key: folderKey(8) }], common: [] },
  ]);
  // What the server has forgotten is found by a descent, not sent as a whole.
  wire.restart();
  edit(wire.client, wire.client.store.root().apply([{ op: 'remove', key: folderKey(9) }]));
  wire.sent.length = wire.answered.length = 0;
  await wire.sync();
  expect(wire.answered[0]!.type).toBe('MODEL_UNKNOWN');
  const records = wire.answered.flatMap((answer) => (answer.type === 'MERKLE_ANSWER' ? answer.nodes : []));
  const given = records.reduce((sum, node) => sum + (node.kind === 'leaves' ? node.entries.length : 0), 0);
  expect(given).toBeLessThanOrEqual(16);
  expect(wire.sent.at(-1)).toMatchObject({
    type: 'MODEL_PUSH',
    base: StateRoot.empty.hash,
    changes: [{ op: 'remove', key: folderKey(9) }],
  });
  // With nothing in common, a model that only one side has counts as new there.
  expect(wire.client.store.root().has(folderKey(9))).toBe(true);
  expect(wire.client.store.root().hash).toBe(wire.server.store.root().hash);
});

test('what waits for a human stays open on both sides, until the server has a decision', async () => {
  const decisions = new Map<ReturnType<typeof deviceKey>, 'source'>();
  const tap = new TraceHub({ now: () => 0 });
  const kinds: string[] = [];
  tap.listen(({ body }) => kinds.push(body.kind === 'conflict' ? `conflict ${body.state}` : body.kind));
  const wire = new Wire(sideOf('client', stateOf(aDevice('s'))), sideOf('server'), {
    tap,
    strategies: { default: 'ask' },
    decisions,
  });
  await wire.sync();
  edit(wire.client, stateOf(aDevice('s', { vlan: 2 })));
  edit(wire.server, stateOf(aDevice('s', { vlan: 3 }), aDevice('t')));
  const { open } = await wire.sync();
  expect(kinds).toContain('conflict waiting');
  expect(open).toEqual([{ key: deviceKey('s'), fields: ['vlan'] }]);
  expect([wire.client.store.root().hash, wire.server.store.root().hash]).toEqual([
    stateOf(aDevice('s', { vlan: 2 }), aDevice('t')).hash,
    stateOf(aDevice('s', { vlan: 3 }), aDevice('t')).hash,
  ]);
  expect((await wire.sync()).open.length).toBe(1);
  decisions.set(deviceKey('s'), 'source');
  expect((await wire.sync()).open).toEqual([]);
  expect(kinds).toContain('conflict decided');
  expect(kinds).toContain('apply');
  expect(wire.server.store.root().get(deviceKey('s'))?.vlan).toBe(2);
});

test('a client whose system refuses a change does not take it back at the server', async () => {
  const system = new FakeSystem(aDevice('s'), aDevice('t'));
  const wire = new Wire({ store: new MemoryStore('client'), models: inventory, adapter: system }, sideOf('server'), {
    strategies: { default: 'destination' },
  });
  await wire.sync();
  system.refuses.add(deviceKey('s'));
  edit(wire.server, stateOf(aDevice('s', { vlan: 5 }), aDevice('t', { vlan: 6 })));
  const options = { continueOnFailure: true };
  wire.half = new ModelClient(wire.client, 'server', options);
  for (let times = 0; times < 2; times++) {
    const step = await wire.sync();
    expect(step).toMatchObject({ report: { counts: { failure: 1 } } });
    expect(wire.server.store.root().get(deviceKey('s'))?.vlan).toBe(5);
    expect(system.content.get(deviceKey('t'))?.attributes.vlan).toBe(6);
  }
  system.refuses.clear();
  await wire.sync();
  expect(system.root().hash).toBe(wire.server.store.root().hash);
});

test('what does not fit is refused with a code, and nothing has changed', async () => {
  const wire = new Wire(sideOf('client', stateOf(aFolder(1))), sideOf('server', stateOf(aFolder(2))));
  const push = (await wire.half.push()) as Extract<ModelRequest, { type: 'MODEL_PUSH' }>;
  const { hash } = wire.server.store.root();
  const orphan = stateOf(aFolder(1, 9));
  const codes: [Partial<typeof push>, string][] = [
    [{ root: hash }, 'MODEL_PUSH_INVALID'],
    [{ changes: [{ op: 'remove', key: folderKey(5) }] }, 'RECORD_MISSING'],
    [{ root: orphan.hash, changes: diffChanges(diffModels(stateOf(), orphan)) }, 'MODEL_PARENT_UNKNOWN'],
  ];
  for (const [wrong, code] of codes) {
    await expect(wire.other.answer('client', { ...push, ...wrong })).rejects.toMatchObject({ code });
  }
  await expect(wire.other.answer('no name', push)).rejects.toMatchObject({ code: 'REPLICA_INVALID' });
  await expect(wire.other.answer('client', { type: 'MERKLE_QUERY', paths: [] })).rejects.toMatchObject({
    code: 'MODEL_NOT_OFFERED',
  });
  expect([wire.server.store.root().hash, wire.server.store.versions().length]).toEqual([hash, 0]);
  const answer = await wire.other.answer('client', push);
  const result = answer as Extract<ModelAnswer, { type: 'MODEL_RESULT' }>;
  await expect(wire.half.receive({ ...result, root: hash })).rejects.toMatchObject({ code: 'MODEL_PUSH_INVALID' });
  await expect(wire.half.receive({ ...result, pushed: hash })).rejects.toMatchObject({
    code: 'MODEL_ANSWER_UNEXPECTED',
  });
  await expect(wire.half.receive({ type: 'MERKLE_ANSWER', nodes: [] })).rejects.toMatchObject({
    code: 'MODEL_ANSWER_UNEXPECTED',
  });
  expect(wire.client.store.root().size).toBe(1);
  await wire.half.receive(result);
  expect(wire.client.store.root().size).toBe(2);
  await expect(wire.half.receive(result)).rejects.toMatchObject({ code: 'MODEL_ANSWER_UNEXPECTED' });
});

test('a question that names one subtree again and again, and the same in it, is answered once', async () => {
  const wire = new Wire(sideOf('client', stateOf(aFolder(1))), sideOf('server', stateOf(aFolder(2), aFolder(3))));
  const push = (await wire.half.push()) as Extract<ModelRequest, { type: 'MODEL_PUSH' }>;
  const unknown = await wire.other.answer('client', { ...push, from: stateOf(aFolder(4)).hash });
  expect(unknown.type).toBe('MODEL_UNKNOWN');
  const asked = (paths: readonly string[]) =>
    wire.other.answer('client', { type: 'MERKLE_QUERY', ...merkleQuerySchema.parse({ paths }, 'query') });
  const inside = Array.from({ length: 496 }, (_, index) => (index % 16).toString(16));
  const answer = await asked([...Array<string>(16).fill(''), ...inside]);
  expect(answer).toEqual(await asked(['']));
  expect(answer).toMatchObject({ nodes: [{ kind: 'leaves', entries: { length: 2 } }] });
});
