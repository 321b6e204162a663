import { encodeTraceRecord } from '@syncscope/protocol/capture';
import { StateRoot } from '@syncscope/protocol/merkle';
import { seededRandom } from '@syncscope/protocol/ports';
import { type Change, recordKey, replicaId, type StateHash, type SyncRecord } from '@syncscope/protocol/state';
import { TRACE_VERSION, type TraceBody, type TraceHeader } from '@syncscope/protocol/trace';

/**
 * A session of about 200 bytes a record: an authority and four clients, a version every 100 ms with two changed
 * records of a hundred, real root hashes, the authority's snapshot every ten versions.
 */
export const CLIENTS = ['bot-1', 'bot-2', 'bot-3', 'bot-4'].map(replicaId);
export const server = replicaId('server');
export const header: TraceHeader = {
  sessionId: 'bench',
  title: 'Bench',
  scenario: 'bench',
  traceVersion: TRACE_VERSION,
  protocolVersion: 1,
  startedAt: 0,
  authority: server,
  build: 'bench',
};

/** So many records, encoded, one after the other; always the same ones. */
export function* sessionRecords(count: number, diverges = -1): Generator<Uint8Array> {
  const random = seededRandom(1);
  const keys = Array.from({ length: 100 }, (_, index) => recordKey(`thing/${index}`));
  let root = StateRoot.from(keys.map((key): [typeof key, SyncRecord] => [key, { x: 0, y: 0, room: 'start' }]));
  let waiting: Uint8Array[] = [];
  let made = 0;
  let time = 0;
  const emit = (replica: typeof server, body: TraceBody, cause: readonly number[], wireLength = 0): number => {
    time += 5_000_000;
    const seq = ++made;
    const wire = wireLength > 0 ? { wire: noise(wireLength, random.next) } : {};
    waiting.push(encodeTraceRecord({ seq, time, replica, cause, body, ...wire }));
    return seq;
  };
  const snapshot = (replica: typeof server, reason: 'attach' | 'periodic', version: number): void => {
    const entries = Array.from(root.entries(), ([key, record]) => ({ key, record }));
    emit(replica, { kind: 'snapshot', reason, version, records: entries, root: root.hash, vector: [] }, []);
  };
  for (const replica of [server, ...CLIENTS]) {
    emit(replica, { kind: 'replica', role: replica === server ? 'server' : 'client' }, []);
    snapshot(replica, 'attach', 0);
  }
  for (let version = 1; ; version++) {
    for (const [at, record] of waiting.entries()) {
      if (made - waiting.length + at >= count) return;
      yield record;
    }
    waiting = [];
    const changes = [0, 1].map((): Change => {
      const key = keys[Math.floor(random.next() * keys.length)]!;
      return { op: 'patch', key, fields: { x: version, room: `room-${version % 50}` }, removed: [] };
    });
    root = root.apply(changes);
    const event = { type: 'MOVED', player: 'bot-1', detail: 'somewhere' };
    const committed = emit(server, { kind: 'commit', version, event, changes, root: root.hash }, []);
    const delta = { kind: 'delta', from: version - 1, to: version, count: 2, root: root.hash } as const;
    const delted = emit(server, delta, [committed]);
    const frame = { type: 'DELTA_SYNC', sender: server, sequence: version };
    const sent = CLIENTS.map((to) => emit(server, { kind: 'send', to, ...frame }, [delted], 150));
    for (const [index, client] of CLIENTS.entries()) {
      const receipt = emit(client, { kind: 'receive', from: server, ...frame }, [sent[index]!], 150);
      emit(client, { kind: 'apply', from: version - 1, to: version, changes, root: root.hash }, [receipt]);
      // One client says once that its copy is another.
      const isOther = index === 2 && diverges >= 0 && made >= diverges;
      if (isOther) diverges = -1;
      const own = isOther ? OTHER : root.hash;
      const told = { own, reference: root.hash, agrees: !isOther };
      emit(client, { kind: 'hash', version, ...told }, [receipt]);
    }
    if (version % 10 === 0) snapshot(server, 'periodic', version);
  }
}

const OTHER = '00000000deadbeef' as StateHash;

/** Bytes that compress about as well as frames do: a few different ones. */
function noise(length: number, random: () => number): Uint8Array {
  return Uint8Array.from({ length }, (_, at) => (at % 3 === 0 ? random() * 256 : at & 15));
}
