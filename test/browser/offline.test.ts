import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { isSyncError } from '@syncscope/protocol/errors';
import { reconcileRequestSchema } from '@syncscope/protocol/offline';
import { build } from 'esbuild';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { NotesWorld } from '../../protocol-lib/src/offline/notes.test-helper.ts';
import { launchChromium } from '../support/browser.ts';
import type { OfflinePage } from './offline-page.ts';

/** A queue in IndexedDB, in a real browser: its contract, dying tabs, two tabs on one queue, a full disk, and a lost network. */
let browser: Browser;
let server: Server;
let url = '';
let world = new NotesWorld();
let context: BrowserContext;

beforeAll(async () => {
  const bundle = await build({
    entryPoints: [`${import.meta.dirname}/offline-page.ts`],
    bundle: true,
    format: 'iife',
    target: 'es2024',
    write: false,
  });
  const script = bundle.outputFiles[0]!.text;
  server = createServer((request, response) => {
    if (request.method === 'POST') {
      let body = '';
      request.on('data', (part: Buffer) => {
        body += part.toString();
      });
      request.on('end', () => void reconcile(body).then(([status, text]) => response.writeHead(status).end(text)));
    } else {
      response.setHeader('content-type', 'text/html; charset=utf-8');
      response.end(
        `<!doctype html><title>offline</title><script>${script.replaceAll('</script', '<\\/script')}</script>`,
      );
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  browser = await launchChromium();
});

afterAll(async () => {
  await browser.close();
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

beforeEach(async () => {
  world = new NotesWorld();
  context = await browser.newContext();
  return () => context.close();
});

async function reconcile(body: string): Promise<[number, string]> {
  try {
    const answer = await world.connection(reconcileRequestSchema.parse(JSON.parse(body), 'request'));
    return [200, JSON.stringify(answer)];
  } catch (error) {
    return [isSyncError(error) ? 409 : 503, String(error)];
  }
}

async function openTab(): Promise<Page> {
  const tab = await context.newPage();
  await tab.goto(url);
  return tab;
}

/** Calls a function of the page. */
function ask<N extends keyof OfflinePage>(
  tab: Page,
  name: N,
  ...args: Parameters<OfflinePage[N]>
): Promise<Awaited<ReturnType<OfflinePage[N]>>> {
  return tab.evaluate(
    ([called, given]) => {
      const { page } = window as unknown as { page: Record<string, (...all: unknown[]) => unknown> };
      return page[called as string]!(...(given as unknown[]));
    },
    [name, args] as const,
  ) as Promise<Awaited<ReturnType<OfflinePage[N]>>>;
}

/** Asks until the answer is as wanted; the browser's own work takes as long as it takes. */
async function until<N extends keyof OfflinePage>(tab: Page, name: N, wanted: string): Promise<void> {
  await tab.waitForFunction(
    ([called, text]) => {
      const { page } = window as unknown as { page: Record<string, () => unknown> };
      return JSON.stringify(page[called as string]!()) === text;
    },
    [name, wanted] as const,
  );
}

const names = (count: number, prefix: string): string[] => Array.from({ length: count }, (_, at) => `${prefix}${at}`);

describe('a queue in IndexedDB', () => {
  it('keeps the contract of a storage', async () => {
    const tab = await openTab();
    const tests = await ask(tab, 'contract');
    expect(tests.length).toBeGreaterThan(10);
    for (const index of tests.keys()) await ask(tab, 'runContract', index);
  });

  it('starts offline with data and what waits, after its tab has died', async () => {
    const first = await openTab();
    await ask(first, 'open', 'queue', 'a', false);
    await ask(first, 'sync', true);
    world.isOnline = false;
    await ask(first, 'makes', names(5, 'x'));
    expect(await ask(first, 'sync')).toBe('failed');
    await first.close({ runBeforeUnload: false });
    const second = await openTab();
    expect(await ask(second, 'open', 'queue', 'b', true)).toBe('2 records, 5 wait');
    world.isOnline = true;
    expect(await ask(second, 'sync')).toBe('done');
    expect(world.done).toEqual(names(5, 'x'));
    expect(await ask(second, 'receipts')).toEqual(names(5, '').map(() => 'accepted'));
  });

  it('has all of a write or nothing when its tab dies in the middle', async () => {
    const outcomes = new Set<number>();
    for (let round = 0; round < 4; round++) {
      const name = `torn-${round}`;
      const tab = await openTab();
      await ask(tab, 'writeForEver', name);
      const session = await context.newCDPSession(tab);
      // Ends the renderer process as a crash does.
      void session.send('Page.crash').catch(() => undefined);
      await tab.waitForEvent('crash');
      await tab.close();
      const next = await openTab();
      outcomes.add(await ask(next, 'rows', name));
      await next.close();
    }
    expect([...outcomes].filter((rows) => rows !== 0 && rows !== 400)).toEqual([]);
  });

  it.each([true, false])(
    'lets one of two tabs send, and the other when that is gone (by a Web Lock: %s)',
    async (lock) => {
      const [one, other] = [await openTab(), await openTab()];
      await ask(one, 'open', 'shared', 'one', lock);
      await ask(other, 'open', 'shared', 'other', lock);
      expect(await ask(one, 'sync', true)).toBe('done');
      await Promise.all([ask(one, 'makes', names(10, 'a')), ask(other, 'makes', names(10, 'b'))]);
      expect(await ask(other, 'sync')).toBe('elsewhere');
      expect(await ask(one, 'sync')).toBe('done');
      expect(world.done.map(String).sort()).toEqual([...names(10, 'a'), ...names(10, 'b')].sort());
      expect(await ask(other, 'refresh')).toBe(true);
      expect(await ask(other, 'status')).toMatchObject({ pending: 0, sent: 0, reconciled: 20 });
      await ask(other, 'makes', ['last']);
      await one.close();
      if (!lock) return;
      // The browser frees the lock once it has taken the tab down.
      let outcome = await ask(other, 'sync');
      while (outcome === 'elsewhere') outcome = await ask(other, 'sync');
      expect(outcome).toBe('done');
      expect(world.done.at(-1)).toBe('last');
    },
  );

  it('sends by itself, and again when the network is back', async () => {
    const tab = await openTab();
    await ask(tab, 'open', 'driven', 'a', true);
    await ask(tab, 'sync', true);
    await ask(tab, 'drive');
    await ask(tab, 'makes', ['here']);
    await until(tab, 'shown', JSON.stringify('2 records, 0 wait'));
    await context.setOffline(true);
    await ask(tab, 'makes', ['away']);
    expect(world.done).toEqual(['here']);
    await context.setOffline(false);
    await until(tab, 'shown', JSON.stringify('2 records, 0 wait'));
    expect(world.done).toEqual(['here', 'away']);
    expect(await ask(tab, 'problems')).toEqual([]);
  });

  it('says that there is no more room, and that a newer build has been here', async () => {
    const tab = await openTab();
    const session = await context.newCDPSession(tab);
    await session.send('Storage.overrideQuotaForOrigin', { origin: new URL(url).origin, quotaSize: 12 * 1024 * 1024 });
    expect(await ask(tab, 'fill', 'full')).toBe('STORAGE_FULL after true');
    await session.send('Storage.overrideQuotaForOrigin', { origin: new URL(url).origin });
    expect(await ask(tab, 'newer', 'newer')).toBe('STORAGE_NEWER');
  });
});
