import type { StateHash, Version } from '../state/index.ts';
import type { TraceBody } from './records.ts';

/** A version and the root hash that a replica told of it. */
export interface ToldRoot {
  readonly version: Version;
  readonly root: StateHash;
}

/** What a record tells of its replica's committed state after it; undefined where it tells no root of it. */
export function toldRoot(body: TraceBody): ToldRoot | undefined {
  switch (body.kind) {
    case 'commit':
      return body.root === undefined ? undefined : { version: body.version, root: body.root };
    case 'snapshot':
    case 'repair':
      return { version: body.version, root: body.root };
    case 'apply':
      return { version: body.to, root: body.root };
    case 'hash':
    case 'mismatch':
      return { version: body.version, root: body.own };
    default:
      return undefined;
  }
}
