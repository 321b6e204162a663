import { driveOffline, IdbStorage, WebLock } from '@syncscope/protocol/browser';
import { OfflineClient, offlineStorageContract, type ReconcileRequest } from '@syncscope/protocol/offline';
import { seededRandom } from '@syncscope/protocol/ports';
import { replicaId } from '@syncscope/protocol/state';
import { notesReferences, notesSession } from '../../protocol-lib/src/offline/notes.test-helper.ts';

/** What the test's page can be asked to do; runs in a real browser. */
let client: OfflineClient | undefined;
let end: (() => void) | undefined;
const problems: string[] = [];

/** A reconcile over HTTP: arguments and answers of these tests are plain JSON. */
async function post(request: ReconcileRequest): Promise<unknown> {
  const response = await fetch('/sync/reconcile', { method: 'POST', body: JSON.stringify(request) });
  if (!response.ok) throw new Error(`status ${response.status}`);
  return response.json();
}

async function open(name: string, owner: string, lock: boolean): Promise<string> {
  client = await OfflineClient.open({
    definition: notesSession,
    references: notesReferences,
    storage: await IdbStorage.open(name),
    session: 'notes',
    device: replicaId('phone'),
    connection: post,
    clock: { now: () => Date.now() },
    random: seededRandom(1),
    owner,
    ...(lock ? { sendRight: new WebLock(name) } : {}),
  });
  return shown();
}

function device(): OfflineClient {
  if (!client) throw new Error('no device is open');
  return client;
}

function shown(): string {
  const { counts } = device().status;
  return `${device().local.size} records, ${counts.pending + counts.sent} wait`;
}

async function makes(what: readonly string[]): Promise<void> {
  for (const one of what) {
    const made = await device().mutate({ command: 'log', args: { what: one } });
    if ('rejected' in made) throw new Error(made.rejected);
  }
}

async function code(run: () => Promise<unknown>): Promise<string> {
  try {
    await run();
  } catch (error) {
    return error instanceof Error && 'code' in error ? String(error.code) : String(error);
  }
  return 'nothing was thrown';
}

/** Bytes that take the room that they have. */
function incompressible(length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let at = 0; at < length; at += 65_536) crypto.getRandomValues(bytes.subarray(at, at + 65_536));
  return bytes;
}

/** Starts a write of many rows, and answers while it is under way: its tab is to die before it ends. */
async function writeForEver(name: string): Promise<void> {
  const storage = await IdbStorage.open(name);
  const value = incompressible(256 * 1024);
  const writes = Array.from({ length: 400 }, (_, index) => ({ key: `torn/${index}`, value }));
  void storage.write(await storage.revision(), writes);
}

const page = {
  open,
  shown,
  makes,
  sync: (pull = false) => device().sync({ pull }),
  status: () => device().status.counts,
  refresh: () => device().refresh(),
  receipts: () => device().receipts.map(({ outcome }) => outcome.state),
  problems: () => problems,
  drive() {
    end = driveOffline(device(), { interval: 50, onError: (error) => problems.push(String(error)) });
  },
  stop: () => end?.(),
  writeForEver,
  async rows(name: string): Promise<number> {
    const storage = await IdbStorage.open(name);
    const { rows } = await storage.read();
    await storage.close();
    return rows.size;
  },
  contract: () => contractTests().map(({ name }) => name),
  async runContract(index: number): Promise<void> {
    await contractTests()[index]!.run();
  },
  async newer(name: string): Promise<string> {
    await new Promise((resolve, reject) => {
      const request = indexedDB.open(name, 99);
      request.onsuccess = () => {
        request.result.close();
        resolve(undefined);
      };
      request.onerror = () => reject(request.error);
    });
    return code(() => IdbStorage.open(name));
  },
  async fill(name: string): Promise<string> {
    const storage = await IdbStorage.open(name);
    const value = incompressible(2 * 1024 * 1024);
    let full = '';
    for (let revision = 0; full === '' && revision < 200; revision++) {
      const outcome = await code(() => storage.write(revision, [{ key: `row/${revision}`, value }]));
      if (outcome !== 'nothing was thrown') full = `${outcome} after ${revision === (await storage.revision())}`;
    }
    await storage.close();
    return full;
  },
};

let made = 0;
function contractTests() {
  return offlineStorageContract({
    create: () => IdbStorage.open(`contract-${performance.timeOrigin}-${++made}`),
    reopen: (storage) => IdbStorage.open((storage as IdbStorage).name),
  });
}

export type OfflinePage = typeof page;
Object.assign(window, { page });
