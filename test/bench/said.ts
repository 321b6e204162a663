import type { ChildProcess } from 'node:child_process';

/** The next message of a kind that a process of a benchmark says. Rejects where the process ends before. */
export function said<M extends { readonly type: string }, T extends M['type']>(
  child: ChildProcess,
  type: T,
): Promise<Extract<M, { type: T }>> {
  return new Promise((resolve, reject) => {
    const onExit = (code: number | null) => reject(new Error(`a process ended early (${code})`));
    const onMessage = (message: M) => {
      if (message.type !== type) return;
      child.off('message', onMessage).off('exit', onExit);
      resolve(message as Extract<M, { type: T }>);
    };
    child.on('message', onMessage).once('exit', onExit);
  });
}
