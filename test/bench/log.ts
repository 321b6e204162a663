import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { encodeEntry, type LogEntry, snapshotOf } from '@syncscope/protocol/events';
import { StateRoot } from '@syncscope/protocol/merkle';
import { SqliteEventLog } from '@syncscope/protocol/node';
import { recordKey, replicaId } from '@syncscope/protocol/state';
import { alternate } from './measure.ts';
import type { Bench, Figure } from './types.ts';

/**
 * Entries into the event log, beside bare `node:sqlite` that writes the same bytes in the same transactions to a table of the same
 * shape, with the same settings. The log validates, encodes, checks what follows upon what and makes a checksum on top.
 */
const PEER = 'node:sqlite';
const ROUNDS = 60;
const KEY = recordKey('count/all');
const root = StateRoot.from([[KEY, { count: 0 }]]);
const WRITER = replicaId('writer');

/** An entry as a small mutation makes it, about 300 bytes. */
export function entryAt(position: number): LogEntry {
  return {
    outcome: 'committed',
    position,
    version: position + 1,
    root: root.hash,
    time: position,
    mutation: { writer: WRITER, counter: position },
    seen: position,
    command: 'move',
    events: [{ type: 'PLAYER_MOVED', player: 'writer', detail: 'writer goes to the hall', data: { to: 'hall' } }],
    changes: [{ op: 'patch', key: KEY, fields: { room: 'hall', count: position }, removed: [] }],
  };
}

export const FIRST = snapshotOf({ position: 0, version: 1, root, time: 0, writers: new Map() });

export const benches: readonly Bench[] = [{ name: 'log.append', run: async () => [1, 10, 100].map(measureAppend) }];

function measureAppend(group: number): Figure {
  const folder = mkdtempSync(join(tmpdir(), 'syncscope-bench-'));
  const log = new SqliteEventLog(join(folder, 'ours.log'));
  log.putSnapshot(FIRST);
  log.flush();
  const bare = new DatabaseSync(join(folder, 'bare.db'));
  bare.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL');
  bare.exec('CREATE TABLE entry (position INTEGER PRIMARY KEY, bytes BLOB NOT NULL, crc INTEGER NOT NULL) STRICT');
  const insert = bare.prepare('INSERT INTO entry (position, bytes, crc) VALUES (?, ?, ?)');
  const batch = (round: number): LogEntry[] =>
    Array.from({ length: group }, (_, index) => entryAt(round * group + index + 1));
  const ours = (round: number) => {
    const entries = batch(round);
    return () => {
      log.append(log.last, entries);
      log.flush();
    };
  };
  const theirs = (round: number) => {
    const rows = batch(round).map((entry) => [entry.position, encodeEntry(entry)] as const);
    return () => {
      bare.exec('BEGIN IMMEDIATE');
      for (const [position, bytes] of rows) insert.run(position, bytes, 0);
      bare.exec('COMMIT');
    };
  };
  const [own = 0, peer = 0] = alternate([ours, theirs], { rounds: ROUNDS });
  log.close();
  bare.close();
  rmSync(folder, { recursive: true, force: true });
  const name = group === 10 ? 'log.append' : `log.append.${group}`;
  const note = `${group} an fsync; a ratio of 0.7 or more is asked for`;
  return { name, value: (group / own) * 1e6, unit: 'events/s', peer: PEER, ratio: peer / own, note };
}
