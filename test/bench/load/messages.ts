/** What the benchmark of whole servers says to their processes and to that of their clients, and hears from them. */

/** Players whose place changes; each has a place and the time at which it was set. */
export const PLAYERS = 50;
/** Between two rounds in which what changed is sent, of all servers alike. */
export const ROUND_MS = 20;

export const SYSTEMS = ['syncscope', 'socket.io', 'colyseus'] as const;
export type System = (typeof SYSTEMS)[number];

export type ServerOrder =
  /** Changes places so many times a second from now on. */
  { readonly type: 'run'; readonly rate: number } | { readonly type: 'read' } | { readonly type: 'collect' };

export type ServerMessage =
  | { readonly type: 'listening'; readonly url: string }
  | {
      readonly type: 'read';
      /** Microseconds of CPU since the last reading. */
      readonly cpu: number;
      /** Changes since then. */
      readonly changes: number;
      /** Bytes of memory in use, after a collection where one was asked for. */
      readonly memory: number;
    };

export type ClientsOrder =
  | { readonly type: 'connect'; readonly system: System; readonly url: string; readonly count: number }
  | { readonly type: 'reset' }
  | { readonly type: 'read' };

export type ClientsMessage =
  | { readonly type: 'connected' }
  | {
      readonly type: 'read';
      /** Places that clients came to know. */
      readonly applied: number;
      readonly p50: number;
      readonly p99: number;
    };

/** The machine's monotonic clock in ms, the same in every process of it. */
export function machineTime(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

/** The place of a player after its `turn`-th change. */
export function place(turn: number): { readonly x: number; readonly y: number } {
  return { x: (turn * 7) % 1_000, y: (turn * 13) % 1_000 };
}
