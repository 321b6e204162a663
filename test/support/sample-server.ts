import { parsePageFragment } from '../../webview/host/address.ts';
import { type Program, startNode } from './processes.ts';

export interface RunningServer {
  readonly program: Program;
  /** `http://127.0.0.1:PORT` of its attach endpoint and page. */
  readonly url: string;
  /** The token of the page that it printed. */
  readonly token: string;
  /** The page's whole address. */
  readonly pageUrl: string;
}

/** Starts the real sample server on a free port, and waits until its inspector can be opened. */
export async function startSampleServer(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<RunningServer> {
  const program = startNode(
    'sample-server/src/cli.ts',
    [...(args.includes('--scenario') ? [] : ['--scenario', 'adventure']), '--port', '0', ...args],
    env,
  );
  const [pageUrl] = await program.printed(/http:\/\/127\.0\.0\.1:\d+\/#\S+/);
  const { origin, hash } = new URL(pageUrl);
  const address = parsePageFragment(hash);
  if (!address) throw new Error(`no token in ${pageUrl}`);
  return { program, url: origin, token: address.token, pageUrl };
}
