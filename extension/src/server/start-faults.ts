/** A fault with which the sample server can be started, as on its command line; `target` is whom it strikes, where it is one. */
export interface StartFault {
  readonly kind: 'corrupt' | 'drop-delta' | 'latency' | 'loss' | 'network' | 'partition' | 'crash';
  readonly spec: string;
  readonly target: string;
}

/** What is offered for a session in which players are called `bot-1`, … or `peer-1`, …; in each, the first is connected from the start. */
export function startFaults(players: 'bot' | 'peer'): StartFault[] {
  const first = `${players}-1`;
  return [
    { kind: 'corrupt', spec: `corrupt:${first}@5s`, target: first },
    { kind: 'drop-delta', spec: `drop-delta:${first}@5s`, target: first },
    { kind: 'latency', spec: 'latency:80ms±40ms', target: '' },
    { kind: 'loss', spec: 'loss:2%', target: '' },
    { kind: 'network', spec: 'network:train', target: '' },
    { kind: 'partition', spec: `partition:${first}@5s+10s`, target: first },
    { kind: 'crash', spec: `crash:${first}@5s`, target: first },
  ];
}
