import type { Mutation } from '../conflict/index.ts';
import { diffRoots, type StateRoot, sameValue } from '../merkle/index.ts';
import type { RecordKey, ReplicaId, SyncRecord } from '../state/index.ts';
import type { TraceRecord, VectorEntries } from '../trace/index.ts';
import { differencesBetween, tried, wrongValue } from './differences.ts';
import type { Dispute } from './disputes.ts';
import type { Finding, Forgotten, RecordRef } from './finding.ts';
import { areRivals } from './partings.ts';
import { Recent } from './recent.ts';
import type { Stamps, ToldMutation } from './stamps.ts';
import type { Trail } from './trail.ts';

const KEPT_CLAIMS = 4_096;
const KEPT_TOUCHES = 65_536;
const MAX_CASES = 256;
/** Names of versions; those of vectors begin with a space, or with that of a type and one. */
const VERSION = 'v:';
/** Mutations of late that are looked at for the one whose effect is missing. */
const MAX_TRIED = 512;
/** Changes of one record by one replica that are remembered. */
const KEPT_OF_RECORD = 32;

interface Claim {
  readonly replica: ReplicaId;
  readonly root: StateRoot;
  readonly version: number;
  /** The record with which the replica came to it. */
  readonly reached: RecordRef;
  readonly ref: RecordRef;
  readonly time: number;
}

/** A replica changed a record. */
interface Touch {
  readonly ref: RecordRef;
  /** The operation that it took in, where it tells. */
  readonly by: string | undefined;
  readonly value: SyncRecord | undefined;
}

interface Contradiction {
  /** Of a version that a group decided, rather than of what each had taken in. */
  readonly isOfVersion: boolean;
  readonly claims: readonly Claim[];
  readonly second: Claim;
  readonly touched: ReadonlyMap<ReplicaId, readonly Touch[]>;
  readonly mutations: readonly ToldMutation[];
}

/**
 * What replicas without an authority hold where they have taken in the same: of one vector, or of one version that a group
 * decided, there is one state.
 */
export class Claims {
  readonly #stamps: Stamps;
  readonly #claims = new Recent<string, Claim[]>('states', KEPT_CLAIMS);
  /** Where each replica changed each record. */
  readonly #touches = new Recent<string, Touch[]>('records', KEPT_TOUCHES);
  readonly #contradictions: Contradiction[] = [];
  /** Replicas that contradicted somebody and have not agreed since. */
  readonly #apart = new Set<ReplicaId>();
  #lost = 0;

  constructor(stamps: Stamps) {
    this.#stamps = stamps;
  }

  touched({ body }: TraceRecord, ref: RecordRef, trail: Trail, by: string | undefined): void {
    if (body.kind !== 'apply' && body.kind !== 'commit') return;
    for (const { key } of body.changes) this.#touch(key, ref, trail, by);
  }

  /** A peer took in a mutation of another: what it holds then of what that changes is what it made of it. */
  tookIn({ writer, changes }: Mutation, ref: RecordRef, trail: Trail): void {
    if (writer !== trail.id) for (const { key } of changes) this.#touch(key, ref, trail, undefined);
  }

  ofVector(vector: VectorEntries, record: TraceRecord, ref: RecordRef, trail: Trail, scope = ''): void {
    const name = vector.filter(({ counter }) => counter > 0).map(({ replica, counter }) => `${replica}:${counter}`);
    this.#take(`${scope} ${name.sort().join(' ')}`, record, ref, trail);
  }

  ofVersion(version: number, record: TraceRecord, ref: RecordRef, trail: Trail): void {
    this.#take(`${VERSION}${version}`, record, ref, trail);
  }

  disputes(): Dispute[] {
    return this.#contradictions.map((one) => ({
      ...{ isOfAnswers: false, isOfVersion: one.isOfVersion },
      position: one.second.ref.position,
      pairs: one.claims.flatMap((claim, at) =>
        one.claims
          .slice(at + 1)
          .filter(({ replica, root }) => replica !== claim.replica && root.hash !== claim.root.hash)
          .map(({ replica }) => [claim.replica, replica] as const),
      ),
      finding: (blamed) => {
        const { wrong, right } = sides(one, blamed);
        return judged(one, wrong, right);
      },
    }));
  }

  get forgotten(): Forgotten[] {
    return [
      this.#claims.forgotten,
      this.#touches.forgotten,
      { memory: 'cases', kept: MAX_CASES, forgotten: this.#lost },
    ];
  }

  #touch(key: RecordKey, ref: RecordRef, trail: Trail, by: string | undefined): void {
    const touches = this.#touches.get(touchKey(trail.id, key)) ?? [];
    touches.push({ ref, by, value: trail.root?.get(key) });
    if (touches.length > KEPT_OF_RECORD) touches.shift();
    this.#touches.set(touchKey(trail.id, key), touches);
  }

  #take(name: string, { time }: TraceRecord, ref: RecordRef, trail: Trail): void {
    const { id, root, version, verified } = trail;
    if (!root || !verified) return;
    const claim = { replica: id, root, version, reached: verified, ref, time };
    const claims = this.#claims.get(name);
    if (!claims) {
      this.#claims.set(name, [claim]);
      return;
    }
    if (claims.some((one) => one.replica === id && one.root.hash === root.hash)) return;
    const other = claims.find((one) => one.replica !== id && one.root.hash !== root.hash);
    claims.push(claim);
    if (!other) {
      this.#apart.delete(id);
      return;
    }
    // What follows from the first is no finding of its own.
    if (this.#apart.has(id) || this.#apart.has(other.replica)) return;
    this.#apart.add(id).add(other.replica);
    if (this.#contradictions.length >= MAX_CASES) {
      this.#lost++;
      return;
    }
    const [change] = diffRoots(root, other.root);
    const touched = (replica: ReplicaId) =>
      [replica, [...((change && this.#touches.get(touchKey(replica, change.key))) ?? [])]] as const;
    this.#contradictions.push({
      isOfVersion: name.startsWith(VERSION),
      claims,
      second: claim,
      touched: new Map([touched(id), touched(other.replica)]),
      mutations: this.#stamps.latest().slice(0, MAX_TRIED),
    });
  }
}

function touchKey(replica: ReplicaId, key: RecordKey): string {
  return `${replica} ${key}`;
}

/** Most are right; of two the one that came first is taken for right. */
function sides(
  { claims, second }: Contradiction,
  blamed: ReplicaId | undefined,
): { readonly wrong: Claim; readonly right: Claim } {
  const votes = (hash: string) => claims.filter(({ root }) => root.hash === hash).length;
  const first = claims.find(({ root, replica }) => root.hash !== second.root.hash && replica !== second.replica)!;
  const lead = votes(second.root.hash) - votes(first.root.hash);
  const isSecondRight = blamed === first.replica || (blamed !== second.replica && lead > 0);
  return isSecondRight ? { wrong: first, right: second } : { wrong: second, right: first };
}

function judged(one: Contradiction, wrong: Claim, right: Claim): Finding {
  const differences = differencesBetween(wrong.root, right.root);
  const known = {
    ...{ replica: wrong.replica, against: right.replica, version: wrong.version, time: one.second.time },
    ...{ detected: one.second.ref, differences, ...wrongValue(differences) },
  };
  const roots = [
    { text: `${right.replica} has the root ${right.root.hash} with the same taken in.`, record: right.ref },
    { text: `${wrong.replica} has ${wrong.root.hash}.`, record: wrong.ref },
  ];
  const missed = one.mutations.find(
    ({ mutation }) =>
      mutation.writer !== wrong.replica &&
      mutation.changes.length > 0 &&
      tried(wrong.root, mutation.changes)?.hash === right.root.hash &&
      !one.mutations.some((other) => areRivals(mutation, other.mutation)),
  );
  if (missed) {
    const { writer, counter } = missed.mutation;
    return {
      ...known,
      ...{ class: 'missed-change', cause: wrong.reached, confidence: 'high' },
      reason: `with the changes of ${writer}:${counter} on top it has the right root`,
      evidence: [{ text: `${writer}:${counter} was made here.`, record: missed.made }, ...roots],
      confirm: `look at what ${wrong.replica} does with the mutations of one frame`,
    };
  }
  const cause = parting(one.touched.get(wrong.replica) ?? [], one.touched.get(right.replica) ?? []) ?? wrong.reached;
  const isMajority = one.claims.filter(({ root }) => root.hash === right.root.hash).length > 1;
  return {
    ...known,
    ...{ class: one.isOfVersion ? 'split-decision' : 'conflict-resolved-differently', cause },
    confidence: isMajority ? 'medium' : 'low',
    reason: isMajority
      ? 'most came to another state of the same, and each one’s records lead to what it has'
      : 'two came to two states of the same; which one is right the capture does not show',
    evidence: [{ text: `${wrong.replica} came to its value here.`, record: cause }, ...roots],
    confirm: 'merge the same on each build, in both orders',
  };
}

/** Where two replicas came to two values by the same operation; else where the one last changed the record. */
function parting(wrong: readonly Touch[], right: readonly Touch[]): RecordRef | undefined {
  const first = wrong.find(({ by, value }) => {
    const other = by === undefined ? undefined : right.find((one) => one.by === by);
    return other !== undefined && !sameValue(value ?? null, other.value ?? null);
  });
  return (first ?? wrong.at(-1))?.ref;
}
