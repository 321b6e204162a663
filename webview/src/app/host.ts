import { SyncError } from '@syncscope/protocol/errors';
import { array, type Infer, object, string } from '@syncscope/protocol/schema';
import type { SourceLocation } from '@syncscope/protocol/trace';
import { CAPTURE_PATH, inspectPath, parsePageFragment, SESSIONS_PATH } from '../../host/address.ts';
import { jsonSafePort, type Port, type RemoteQuery, remoteQuery, workerPort } from '../rpc/index.ts';
import { type PageMessage, splitPort, workerMessageSchema } from '../worker/side-channel.ts';

/** Where the inspector runs: what differs between a webview of VS Code and a page in a browser, and nothing else. */
export interface InspectorHost {
  readonly name: 'browser' | 'vscode';
  readonly remote: RemoteQuery;
  /** What was remembered, unvalidated; undefined where nothing was. */
  load(): unknown;
  store(value: unknown): void;
  /** Lets the user choose another capture. */
  open(): Promise<void>;
  /** Opens a file that was dropped; absent where the host cannot. */
  openFile?(file: File): void;
  /** Lets go of what is being opened; absent where closing the view does. */
  cancelOpening?(): void;
  /** Running sessions to choose from, where this host knows of any. */
  sessions?(): Promise<readonly OfferedSession[]>;
  attach?(session: OfferedSession): void;
  copy(text: string): Promise<void>;
  openSource(source: SourceLocation): Promise<void>;
  /** Begins: from here on the host may speak. */
  start(): void;
}

const offeredSessionSchema = object({ id: string(100), title: string(200), scenario: string(100), url: string(200) });
export type OfferedSession = Infer<typeof offeredSessionSchema>;

interface VsCodeApi {
  postMessage(message: unknown): void;
  getState(): unknown;
  setState(state: unknown): void;
}

declare global {
  var acquireVsCodeApi: (() => VsCodeApi) | undefined;
}

export function findHost(): InspectorHost {
  return typeof acquireVsCodeApi === 'function' ? vsCodeHost(acquireVsCodeApi()) : browserHost();
}

function vsCodeHost(api: VsCodeApi): InspectorHost {
  const port: Port = jsonSafePort({
    post: (message) => api.postMessage(message),
    onMessage(listener) {
      const handle = (event: MessageEvent) => listener(event.data);
      window.addEventListener('message', handle);
      return () => window.removeEventListener('message', handle);
    },
  });
  const remote = remoteQuery(port);
  return {
    name: 'vscode',
    remote,
    load: () => api.getState(),
    store: (value) => api.setState(value),
    open: () => remote.command({ command: 'open' }),
    copy: (text) => remote.command({ command: 'copy', text }),
    openSource: (source) => remote.command({ command: 'openSource', source }),
    start: () => remote.ready(),
  };
}

const STORAGE_KEY = 'syncscope.view';

function browserHost(): InspectorHost {
  const worker = new Worker('worker.js', { type: 'module', name: 'capture' });
  const { main, side } = splitPort(workerPort(worker), (message) => 'worker' in message);
  const tell = (message: PageMessage) => side.post(message);
  side.onMessage((data) => {
    const message = workerMessageSchema.parse(data, 'worker');
    download(message.blob, message.name);
  });
  const remote = remoteQuery(main);
  const openFile = (file: File) => tell({ page: 'openFile', file, name: file.name });
  return {
    name: 'browser',
    remote,
    load() {
      try {
        return JSON.parse(localStorage.getItem(STORAGE_KEY) ?? 'null');
      } catch {
        return undefined;
      }
    },
    store(value) {
      try {
        localStorage.setItem(STORAGE_KEY, JSON.stringify(value));
      } catch {
        // Storage may be full or forbidden; the view works without being remembered.
      }
    },
    async open() {
      const file = await chooseFile();
      if (file) openFile(file);
    },
    openFile,
    cancelOpening: () => tell({ page: 'leave' }),
    copy: (text) => navigator.clipboard.writeText(text),
    openSource: ({ file, line, column }) => navigator.clipboard.writeText(`${file}:${line}:${column}`),
    ...offeredSessions(tell),
    start() {
      const wanted = readAddress(location);
      if (wanted) tell(wanted);
      else remote.ready();
    },
  };
}

/** What a page's address asks for; undefined where it asks for nothing, or for a choice. */
export function readAddress(address: Pick<Location, 'hash' | 'origin' | 'protocol' | 'host'>): PageMessage | undefined {
  const wanted = parsePageFragment(address.hash);
  if (!wanted || wanted.show.kind === 'sessions') return undefined;
  if (wanted.show.kind === 'file') {
    return { page: 'openUrl', url: address.origin + CAPTURE_PATH, name: wanted.show.name, token: wanted.token };
  }
  return { page: 'attach', url: socketUrl(address, wanted.show.session), token: wanted.token };
}

function socketUrl(address: Pick<Location, 'protocol' | 'host'>, session?: string): string {
  return `${address.protocol === 'https:' ? 'wss:' : 'ws:'}//${address.host}${inspectPath(session)}`;
}

/** Where the page was opened to choose among sessions: the list, and how one is chosen. */
function offeredSessions(tell: (message: PageMessage) => void): Pick<InspectorHost, 'sessions' | 'attach'> {
  const wanted = parsePageFragment(location.hash);
  if (wanted?.show.kind !== 'sessions') return {};
  const { token } = wanted;
  return {
    async sessions() {
      const response = await fetch(SESSIONS_PATH, { headers: { Authorization: `Bearer ${token}` } });
      if (!response.ok) {
        throw new SyncError('SESSIONS_UNREADABLE', `the host answers ${response.status} to the list of sessions`, {
          origin: 'attach',
          retry: 'backoff',
        });
      }
      return array(offeredSessionSchema, 1_000).parse(await response.json(), 'sessions');
    },
    attach: ({ id }) => tell({ page: 'attach', url: socketUrl(location, id), token }),
  };
}

function chooseFile(): Promise<File | undefined> {
  const input = document.createElement('input');
  input.type = 'file';
  input.accept = '.mcap';
  return new Promise((resolve) => {
    input.addEventListener('change', () => resolve(input.files?.[0]));
    input.addEventListener('cancel', () => resolve(undefined));
    input.click();
  });
}

function download(blob: Blob, name: string): void {
  const url = URL.createObjectURL(blob);
  const link = document.createElement('a');
  link.href = url;
  link.download = name;
  link.click();
  // The browser has its own reference by the time that the click's task is over.
  setTimeout(() => URL.revokeObjectURL(url), 0);
}
