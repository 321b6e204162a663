import { ConflictResolver } from '@syncscope/protocol/conflict';
import { replicaId } from '@syncscope/protocol/state';

/** The group of the test: one member in a process that is killed, and two that live with the test. */
export const KILLED = replicaId('alice');
export const MEMBERS = [KILLED, replicaId('bob'), replicaId('carol')];
export const SESSION = 'group';
/** Milliseconds since 1970 at time 0 of everybody's clock. */
export const EPOCH = 1_700_000_000_000;
/** Short, so that checkpoints move while processes die. */
export const SETTINGS = { keepHistory: 20, statusInterval: 20_000_000, resendAfter: 20_000_000 };

export const resolver = new ConflictResolver({
  policies: [{ collection: 'note/', policy: { kind: 'last-write' } }],
  rules: [],
});

export type FromPeer =
  | { readonly kind: 'frame'; readonly to: string; readonly frame: Uint8Array }
  | { readonly kind: 'made'; readonly what: string }
  | { readonly kind: 'root'; readonly root: string };

export type ToPeer = { readonly kind: 'frame'; readonly from: string; readonly frame: Uint8Array };
