import { RE2JS, RE2JSException } from 're2js';
import { SyncError } from '../../errors/index.ts';
import { fitText } from '../../schema/index.ts';
import { type ReplicaId, replicaId } from '../../state/index.ts';
import { SHIVIZ_PATTERN } from './export-shiviz.ts';
import type { CaptureMaker } from './made-capture.ts';

const MAX_EVENTS = 1_000_000;
const STEP = 1_000_000;

interface ClockedEvent {
  readonly host: ReplicaId;
  readonly clock: ReadonlyMap<ReplicaId, number>;
  readonly text: string;
  readonly line: number;
}

/**
 * Takes a log with vector clocks over, as `log` and `vector` records in an order that agrees with the clocks; a millisecond of time each, since such
 * a log tells none. `pattern` has the groups `host`, `clock` and `event`, as for ShiViz, and is RE2's.
 * @throws SyncError `IMPORT_PATTERN`, or `IMPORT_INVALID` with the line: no event at all, a clock that is none, that lacks its own host, that counts
 *   wrongly, or clocks that go round in a circle
 */
export async function importShiViz(text: string, maker: CaptureMaker, pattern: string = SHIVIZ_PATTERN): Promise<void> {
  const events = readEvents(text, compile(pattern));
  const hosts = new Map<ReplicaId, ClockedEvent[]>();
  for (const event of events) {
    const own = hosts.get(event.host) ?? [];
    own.push(event);
    hosts.set(event.host, own);
  }
  for (const host of hosts.keys()) await maker.add(host, 0, { kind: 'replica', role: 'peer' });
  const numbers = new Map<string, number>();
  let time = 0;
  for (const event of inCausalOrder(hosts)) {
    const { host, clock } = event;
    const cause = [...clock].flatMap(([other, count]) =>
      other === host ? [] : [numbers.get(`${other} ${count}`) ?? 0],
    );
    time += STEP;
    const vector = [...clock].map(([replica, counter]) => ({ replica, counter }));
    vector.sort((a, b) => (a.replica < b.replica ? -1 : 1));
    const seq = await maker.add(host, time, { kind: 'log', level: 'info', text: fitText(event.text, 10_000) }, cause);
    await maker.add(host, time, { kind: 'vector', vector }, [seq]);
    numbers.set(`${host} ${clock.get(host)}`, seq);
  }
}

function compile(pattern: string): RE2JS {
  let compiled: RE2JS;
  try {
    compiled = RE2JS.compile(pattern, RE2JS.MULTILINE);
  } catch (error) {
    if (!(error instanceof RE2JSException)) throw error;
    throw new SyncError('IMPORT_PATTERN', `the pattern is no regular expression: ${error.message}`, {
      origin: 'setting',
      cause: error,
    });
  }
  for (const name of ['host', 'clock', 'event']) {
    if (Object.hasOwn(compiled.namedGroups(), name)) continue;
    throw new SyncError('IMPORT_PATTERN', `the pattern has no group (?<${name}>…); it needs host, clock and event`, {
      origin: 'setting',
    });
  }
  return compiled;
}

function readEvents(text: string, pattern: RE2JS): ClockedEvent[] {
  const events: ClockedEvent[] = [];
  const matcher = pattern.matcher(text.replaceAll('\r\n', '\n'));
  let line = 1;
  let at = 0;
  while (matcher.find()) {
    const start = matcher.start();
    for (; at < start; at++) if (text[at] === '\n') line++;
    if (events.length >= MAX_EVENTS) throw invalid(line, `more than ${MAX_EVENTS} events`);
    const host = hostOf(matcher.group('host') ?? '', line);
    const clock = readClock(matcher.group('clock') ?? '', line);
    if (!clock.has(host)) throw invalid(line, `the clock does not count ${host} itself`);
    events.push({ host, clock, text: matcher.group('event') ?? '', line });
  }
  if (events.length === 0) throw invalid(1, 'no event fits the pattern');
  return events;
}

/** Host names that are no replica ids have everything else replaced. */
function hostOf(name: string, line: number): ReplicaId {
  const fitted = name.replaceAll(/[^A-Za-z0-9._-]/g, '-').slice(0, 64);
  if (!/^[A-Za-z0-9]/.test(fitted)) throw invalid(line, `${JSON.stringify(name)} cannot name a host`);
  return replicaId(fitted);
}

function readClock(json: string, line: number): Map<ReplicaId, number> {
  let parsed: unknown;
  try {
    parsed = JSON.parse(json);
  } catch {
    throw invalid(line, 'the clock is not JSON');
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed))
    throw invalid(line, 'the clock is not a map of counts');
  const clock = new Map<ReplicaId, number>();
  for (const [host, count] of Object.entries(parsed)) {
    if (!Number.isSafeInteger(count) || (count as number) < 0)
      throw invalid(line, `the clock counts ${JSON.stringify(count)} for ${host}`);
    if ((count as number) > 0) clock.set(hostOf(host, line), count as number);
  }
  return clock;
}

/** Each host in its own order, an event once all that its clock names have come. Of several that could be next, the one that stands first. */
function* inCausalOrder(hosts: ReadonlyMap<ReplicaId, ClockedEvent[]>): Generator<ClockedEvent> {
  for (const [host, events] of hosts) {
    events.sort((a, b) => a.clock.get(host)! - b.clock.get(host)!);
    events.forEach((event, index) => {
      const before = index === 0 ? 0 : events[index - 1]!.clock.get(host)!;
      if (event.clock.get(host) === before) throw invalid(event.line, `${host} has two events numbered ${before}`);
    });
  }
  const next = new Map([...hosts.keys()].map((host) => [host, 0]));
  const isDue = ({ host, clock }: ClockedEvent): boolean =>
    [...clock].every(([other, count]) => {
      const waiting = hosts.get(other)?.[next.get(other)!];
      return other === host || waiting === undefined || waiting.clock.get(other)! > count;
    });
  for (let left = [...hosts.values()].reduce((sum, events) => sum + events.length, 0); left > 0; left--) {
    const heads = [...hosts].flatMap(([host, events]) => events[next.get(host)!] ?? []);
    const due = heads.filter(isDue).sort((a, b) => a.line - b.line)[0];
    if (!due) throw invalid(heads[0]!.line, 'the clocks go round in a circle: each waits for another');
    next.set(due.host, next.get(due.host)! + 1);
    yield due;
  }
}

function invalid(line: number, what: string): SyncError {
  return new SyncError('IMPORT_INVALID', `line ${line}: ${what}`, { origin: 'capture', place: { line } });
}
