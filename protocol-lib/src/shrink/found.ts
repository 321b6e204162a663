import type { OpenCapture } from '../capture/index.ts';
import { diagnoseCapture, type FindingClass, verifyCapture } from '../diagnose/index.ts';
import type { RecordKey, ReplicaId } from '../state/index.ts';

/** What makes two findings of two captures the same. */
export interface FindingIdentity {
  /** Which of the two says it: `verification` where the diagnosis has no finding. */
  readonly by: 'diagnosis' | 'verification';
  readonly class: FindingClass;
  readonly replica: ReplicaId;
  readonly key?: RecordKey;
  readonly field?: string;
}

/** A finding with the places that a smaller capture has to hold. */
export interface FoundFinding {
  readonly identity: FindingIdentity;
  /** Positions: of the record that made it happen, the one that noticed it, and the last of those that prove it. */
  readonly cause: number;
  readonly detected: number;
  readonly last: number;
}

/** Everything that the diagnosis finds in a capture, and what the verification finds beside it. */
export interface FoundFindings {
  readonly findings: readonly FoundFinding[];
  readonly verification: FoundFinding | undefined;
}

/** @throws SyncError where a record cannot be read */
export async function findingsOf(capture: OpenCapture): Promise<FoundFindings> {
  return { findings: await diagnosed(capture), verification: await verified(capture) };
}

/** What the diagnosis alone says, in half the time. @throws SyncError as {@link findingsOf} */
export async function diagnosed(capture: OpenCapture): Promise<readonly FoundFinding[]> {
  const { findings } = await diagnoseCapture(capture);
  return findings.map((one) => ({
    identity: identityOf('diagnosis', one.class, one.replica, one.value ?? {}),
    cause: one.cause.position,
    detected: one.detected.position,
    last: Math.max(one.detected.position, ...one.evidence.map(({ record }) => record?.position ?? 0)),
  }));
}

/** What the verification says. @throws SyncError as {@link findingsOf} */
export async function verified(capture: OpenCapture): Promise<FoundFinding | undefined> {
  const { divergence } = await verifyCapture(capture);
  return (
    divergence && {
      identity: identityOf('verification', divergence.class, divergence.replica, divergence),
      cause: divergence.position,
      detected: divergence.position,
      last: divergence.position,
    }
  );
}

/** The finding of this identity in a capture, with no more looked for than that takes. @throws SyncError as {@link findingsOf} */
export async function findingIn(capture: OpenCapture, wanted: FindingIdentity): Promise<FoundFinding | undefined> {
  const findings = await diagnosed(capture);
  // The verification has a say only where the diagnosis has none.
  const verification = findings.length === 0 && wanted.by === 'verification' ? await verified(capture) : undefined;
  return matching({ findings, verification }, wanted);
}

function identityOf(
  by: FindingIdentity['by'],
  divergence: FindingClass,
  replica: ReplicaId,
  { key, field }: { readonly key?: RecordKey; readonly field?: string },
): FindingIdentity {
  return {
    by,
    class: divergence,
    replica,
    ...(key === undefined ? {} : { key }),
    ...(field === undefined ? {} : { field }),
  };
}

export function isSameFinding(left: FindingIdentity, right: FindingIdentity): boolean {
  return (
    left.by === right.by &&
    left.class === right.class &&
    left.replica === right.replica &&
    left.key === right.key &&
    left.field === right.field
  );
}

/** What the whole capture shows; the verification's where the diagnosis has none. */
export function targetsOf({ findings, verification }: FoundFindings): readonly FoundFinding[] {
  return findings.length > 0 || !verification ? findings : [verification];
}

/** The finding of this identity in a smaller capture. */
export function matching(found: FoundFindings, wanted: FindingIdentity): FoundFinding | undefined {
  return targetsOf(found).find(({ identity }) => isSameFinding(identity, wanted));
}

/**
 * Whether a smaller capture shows nothing that the whole one does not: leaving records out must not make a fault of its own. What the
 * verification says may be of any replica that the whole one has a finding of, but is no riddle where that is none.
 */
export function hasNothingNew(found: FoundFindings, whole: FoundFindings): boolean {
  const known = whole.findings.map(({ identity }) => identity);
  if (!found.findings.every(({ identity }) => known.some((one) => isSameFinding(one, identity)))) return false;
  const { verification } = found;
  if (!verification) return true;
  if (whole.verification && isSameFinding(verification.identity, whole.verification.identity)) return true;
  const isKnown = known.some(({ replica }) => replica === verification.identity.replica);
  return isKnown && (verification.identity.class !== 'unknown' || whole.verification?.identity.class === 'unknown');
}

/** For people: class, replica, key and field. */
export function identityText({ class: name, replica, key, field }: FindingIdentity): string {
  const value = key === undefined ? '' : `: ${key}${field === undefined ? '' : ` · ${field}`}`;
  return `${name} on ${replica}${value}`;
}
