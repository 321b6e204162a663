import type { StateRoot } from '../merkle/index.ts';
import type { NameTables } from '../messages/index.ts';
import type { ReplicaId, Version } from '../state/index.ts';
import type { TraceBodyOf, TraceHeader, TraceRecord } from '../trace/index.ts';
import { Ages } from './ages.ts';
import { AuthorityAudit } from './authority-audit.ts';
import { Cases } from './cases.ts';
import { Conflicts } from './conflicts.ts';
import { settleDisputes } from './disputes.ts';
import type { Finding, Forgotten, NoDivergence, RecordRef } from './finding.ts';
import { Frames, isChanged } from './frames.ts';
import { GroupAudit } from './group-audit.ts';
import { forgottenOf, Recent } from './recent.ts';
import { ReplicaAudit } from './replica-audit.ts';
import { stuckFindings } from './stuck.ts';
import { Trails } from './trails.ts';

const KEPT_REFS = 65_536;

/** What is known before the first record, where an audit begins in the middle of a capture. */
export interface AuditStart {
  readonly names: NameTables;
  readonly replicas: ReadonlyArray<{
    readonly id: ReplicaId;
    readonly version: Version;
    /** Undefined where it is not known. */
    readonly root: StateRoot | undefined;
    readonly isPartial: boolean;
    /** The last record that told of it. */
    readonly verified: RecordRef;
  }>;
}

export interface AuditResult {
  readonly findings: Finding[];
  readonly verdicts: NoDivergence[];
  readonly forgotten: readonly Forgotten[];
}

/**
 * Reads the records of a capture once, in order, and says what went wrong. It knows of `fault` records nothing: they tell what
 * was planned, not what was seen. Everything that it remembers is bounded, so a capture may be of any length.
 */
export class Audit {
  readonly #trails = new Trails();
  readonly #frames: Frames;
  readonly #cases = new Cases();
  readonly #conflicts = new Conflicts();
  readonly #ages = new Ages();
  readonly #refs = new Recent<number, RecordRef>('records', KEPT_REFS);
  readonly #authority: AuthorityAudit | undefined;
  /** Where there is no authority. */
  readonly #group: GroupAudit | undefined;
  readonly #replicas: ReplicaAudit;
  /** Who tells anything. */
  readonly #told = new Set<ReplicaId>();
  #end = 0;

  constructor(header: Pick<TraceHeader, 'authority' | 'startedAt'>, start?: AuditStart) {
    this.#frames = new Frames(start?.names);
    this.#authority = header.authority === null ? undefined : new AuthorityAudit(header.authority, this.#trails);
    this.#group = this.#authority ? undefined : new GroupAudit(header, this.#trails, this.#frames);
    this.#replicas = new ReplicaAudit(this.#authority, this.#frames, this.#cases);
    for (const { id, version, root, isPartial, verified } of start?.replicas ?? []) {
      const trail = this.#trails.of(id);
      trail.isPartial = isPartial;
      trail.version = version;
      if (!root) continue;
      if (id === header.authority) this.#authority?.begin(version, root, verified);
      else trail.took(version, root, verified);
    }
  }

  take(position: number, record: TraceRecord): void {
    const { body, replica } = record;
    if (body.kind === 'fault') return;
    const ref = { seq: record.seq, position };
    this.#refs.set(record.seq, ref);
    this.#end = record.time;
    this.#cases.settle(position);
    if (this.#told.size < KEPT_REFS) this.#told.add(replica);
    const trail = this.#trails.of(replica);
    if (body.kind === 'confirmation') {
      const made = trail.pending.get(body.mutation.counter);
      if (made) this.#ages.answered(replica, made.ref);
    }
    if (body.kind === 'gap') this.#lapse();
    if (body.kind === 'hash' || body.kind === 'mismatch') this.#frames.found(record);
    if (body.kind === 'commit') this.#misread(record, body);
    if (replica === this.#authority?.id) this.#authority.take(record, ref, trail);
    else this.#replicas.take(record, ref, trail);
    this.#group?.take(record, ref, trail);
    switch (body.kind) {
      case 'names':
        this.#frames.names(body);
        return;
      case 'send':
        this.#sent(record, body, ref);
        return;
      case 'receive':
        this.#received(record, body, ref);
        return;
      case 'refused':
        this.#replicas.refused(record, body, ref, trail);
        return;
      case 'gone':
        trail.isConnected = false;
        return;
      case 'health':
        this.#health(record, body, ref);
        return;
      case 'conflict':
        this.#conflicts.take(record, body, ref);
        return;
      default:
        return;
    }
  }

  /** What was predicted is not held against what was made of a command that came other than it was sent. */
  #misread({ cause }: TraceRecord, { mutation }: TraceBodyOf<'commit'>): void {
    const receipt = this.#frames.received(cause[0]);
    if (mutation && receipt && isChanged(receipt))
      this.#trails.known(mutation.writer)?.pending.delete(mutation.counter);
  }

  /** Records are missing here: nobody's state, and no frame that is on its way, is known any more. */
  #lapse(): void {
    this.#frames.lapse();
    if (this.#authority) this.#authority.tellsViews = false;
    this.#group?.lapse(this.#trails.all());
    for (const trail of this.#trails.all()) trail.lapse();
  }

  finish(): AuditResult {
    this.#replicas.finish((replica) => this.#told.has(replica));
    const authority = this.#authority?.id;
    const findings = [
      ...this.#cases.findings(),
      ...(this.#authority?.findings() ?? []),
      ...this.#ages.findings((replica) => this.#trails.of(replica).version, authority),
    ];
    const ofGroup = this.#group?.findings() ?? [];
    const { broken = [], open = [] } = this.#group?.disputes([...findings, ...ofGroup]) ?? {};
    const disputes = [...this.#conflicts.disputes(), ...open];
    findings.push(...ofGroup, ...broken, ...settleDisputes(disputes, this.#conflicts.skews()));
    // What was put right before is no reason to be stuck.
    const explains = ({ repaired, class: found }: Finding) =>
      repaired === undefined && found !== 'corrupted-in-transit';
    const differing = new Set(findings.filter(explains).map(({ replica }) => replica));
    const newest = authority === undefined ? 0 : this.#trails.of(authority).version;
    const others = [...this.#trails.all()].filter(({ id }) => !differing.has(id) && id !== authority);
    findings.push(...stuckFindings(others, authority, newest, this.#end));
    const verdicts = [...this.#cases.verdicts(), ...(this.#authority?.verdicts() ?? [])];
    return { findings: oncePerCause(findings), verdicts, forgotten: this.#forgotten() };
  }

  #forgotten(): Forgotten[] {
    return forgottenOf([
      this.#refs.forgotten,
      ...this.#frames.forgotten,
      ...this.#trails.forgotten,
      ...this.#cases.forgotten,
      ...this.#conflicts.forgotten,
      ...(this.#authority?.forgotten ?? []),
      this.#replicas.forgotten,
      ...(this.#group?.forgotten ?? []),
    ]);
  }

  #sent(record: TraceRecord, body: TraceBodyOf<'send'>, ref: RecordRef): void {
    const made = record.cause[0] === undefined ? undefined : this.#refs.get(record.cause[0]);
    this.#frames.send(record, body, ref, made);
    this.#group?.sent(record, body, ref, made);
  }

  #received(record: TraceRecord, body: TraceBodyOf<'receive'>, ref: RecordRef): void {
    const trail = this.#trails.of(record.replica);
    const frame = this.#frames.receive(record, body, ref, trail);
    trail.heard++;
    const sender = this.#trails.known(body.sender);
    if (sender) sender.wasHeard++;
    this.#replicas.received(record, ref, trail, frame);
  }

  #health(record: TraceRecord, body: TraceBodyOf<'health'>, ref: RecordRef): void {
    const trail = this.#trails.of(body.target);
    this.#ages.take(record, body, ref, trail);
    if (body.state === 'recovered') trail.stalled = undefined;
    else trail.stalled ??= { ref, time: record.time, heard: trail.heard, text: body.stalls.join(', ') };
  }
}

/** Of findings with one cause the one that says most, in order of detection. */
function oncePerCause(findings: readonly Finding[]): Finding[] {
  const kept = new Map<string, Finding>();
  for (const finding of findings) {
    const key = `${finding.class} ${finding.replica} ${finding.cause.position}`;
    const other = kept.get(key);
    if (!other || (finding.value && !other.value)) kept.set(key, finding);
  }
  return [...kept.values()].sort((a, b) => a.detected.position - b.detected.position);
}
