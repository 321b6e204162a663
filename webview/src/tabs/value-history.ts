import { type BlameRule, ruleOf } from '@syncscope/protocol/blame';
import type { CaptureQuery, HistoryEntry, RecordDetail } from '@syncscope/protocol/capture';
import type { RecordKey, ReplicaId } from '@syncscope/protocol/state';

/** A record that changed a value, and why the value was then what the record says. */
export interface ToldEntry extends HistoryEntry {
  readonly rule: BlameRule;
  readonly why: string;
}

/** The history of a value with its reasons, newest first, `limit` entries at most. */
export async function valueHistory(
  query: Pick<CaptureQuery, 'history' | 'record' | 'related'>,
  replica: ReplicaId,
  key: RecordKey,
  field: string,
  position: number,
  limit: number,
): Promise<ToldEntry[]> {
  const entries = await query.history(replica, key, field, position, limit);
  const isWhole = entries.length < limit;
  return Promise.all(
    entries.map(async (entry, at) => {
      const [{ record }, policy] = await Promise.all([
        query.record(entry.position),
        policyOf(query, entry.position, key),
      ]);
      const { rule, text } = ruleOf(record, policy, isWhole && at === entries.length - 1);
      return { ...entry, rule, why: entry.writer === undefined ? text : `${text}, written by ${entry.writer}` };
    }),
  );
}

/** By which policy a conflict about the key was settled, where one led to the record. */
async function policyOf(
  query: Pick<CaptureQuery, 'record' | 'related'>,
  position: number,
  key: RecordKey,
): Promise<string | undefined> {
  const { causes } = await query.related(position);
  const records: RecordDetail[] = await Promise.all(causes.map((cause) => query.record(cause)));
  for (const { record } of records) {
    if (record.body.kind === 'conflict' && record.body.key === key) return record.body.policy;
  }
  return undefined;
}
