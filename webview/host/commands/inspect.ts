import { existsSync } from 'node:fs';
import { printDocument } from '../json.ts';
import { type Subject, serveInspector } from '../serve.ts';
import { targetOfUrl } from '../target.ts';

export interface InspectOptions {
  readonly token?: string;
  readonly port?: number;
  readonly inject?: boolean;
  readonly json?: boolean;
}

/** `inspect`: serves the inspector until Ctrl-C, on a capture, on a session, or on the list of running sessions. */
export async function inspect(target: string | undefined, options: InspectOptions): Promise<void> {
  const subject = subjectOf(target, options.token);
  const server = await serveInspector(subject, options.port === undefined ? {} : { port: options.port });
  const url = options.inject ? server.injectPageUrl : server.pageUrl;
  if (options.json) printDocument('inspect', { url, pid: process.pid });
  else {
    console.log(`inspector  ${url}`);
    console.error('Ctrl-C ends it.');
  }
  await new Promise<void>((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(signal, () => resolve());
  });
  await server.close();
}

function subjectOf(target: string | undefined, token: string | undefined): Subject {
  if (target === undefined) return { kind: 'sessions' };
  if (/^https?:\/\//.test(target) && !existsSync(target)) return { kind: 'live', target: targetOfUrl(target, token) };
  return { kind: 'file', path: target };
}
