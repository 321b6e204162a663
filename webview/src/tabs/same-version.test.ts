import type { CaptureQuery, CaptureStatus, Row, RowsSoFar } from '@syncscope/protocol/capture';
import { replicaId } from '@syncscope/protocol/state';
import { expect, it } from 'vitest';
import { pairAtSameVersion, peerToCompare } from './same-version.ts';

const [server, bot] = [replicaId('server'), replicaId('bot-1')];

/** The server commits a version every 10 records; the bot applies each 4 records later. */
const versions = (position: number) => ({
  server: Math.floor(position / 10),
  bot: Math.floor(Math.max(0, position - 4) / 10),
});
const asked: string[] = [];
const query = {
  async status(position: number): Promise<CaptureStatus> {
    const at = versions(position);
    const one = (replica: typeof server, version: number) =>
      ({ replica, version }) as CaptureStatus['replicas'][number];
    return {
      position,
      replicas: [one(server, at.server), one(bot, at.bot)],
      verdict: { level: 'quiet', text: '' },
    };
  },
  async rowsSoFar(filter: string): Promise<RowsSoFar> {
    asked.push(filter);
    const version = Number(/version:(\d+)\.\./.exec(filter)?.[1]);
    const position = version * 10 + (filter.includes(`who:${bot}`) ? 4 : 0);
    return { rows: [{ position } as Row], offset: 0, total: 1, looked: 100, of: 100 };
  },
  // Only what aligning asks of a capture.
} as unknown as CaptureQuery;

it('takes the one that is ahead back to the last moment at the version of the other', async () => {
  const pair = await pairAtSameVersion(query, bot, server, 32);
  expect(pair).toEqual({
    left: { replica: bot, position: 32 },
    right: { replica: server, position: 29 },
    aligned: { replica: server, from: 3, to: 2 },
  });
  expect(versions(29).server).toBe(versions(32).bot);
  const swapped = await pairAtSameVersion(query, server, bot, 32);
  expect(swapped).toMatchObject({ left: pair.right, right: pair.left, aligned: pair.aligned });
});

it('leaves both where they are at one version already', async () => {
  asked.length = 0;
  const pair = await pairAtSameVersion(query, bot, server, 37);
  expect(pair).toEqual({ left: { replica: bot, position: 37 }, right: { replica: server, position: 37 } });
  expect(asked).toEqual([]);
});

it('compares them as they are where that moment is not in the capture', async () => {
  const cut = {
    ...query,
    rowsSoFar: async () => ({ rows: [], offset: 0, total: 0, looked: 9, of: 9 }),
  } as CaptureQuery;
  expect(await pairAtSameVersion(cut, bot, server, 32)).not.toHaveProperty('aligned');
});

it('compares one that went wrong by its own account with a sound one, at its version where there is one', async () => {
  const wrong = { since: 4, position: 1 };
  type Told = readonly [name: string, version: number, differs?: typeof wrong];
  const choose = (...rows: readonly Told[]) => {
    const replicas = rows.map(([name, version, differs]) => {
      const status = { replica: replicaId(name), version, ...(differs ? { differs } : {}) };
      return status as CaptureStatus['replicas'][number];
    });
    const status = async (position: number): Promise<CaptureStatus> => ({
      position,
      replicas,
      verdict: { level: 'quiet', text: '' },
    });
    return peerToCompare({ status }, { replica: replicaId('p2'), against: replicaId('p2') }, 9);
  };
  const own: Told = ['p2', 4, wrong];
  expect(await choose(['p1', 3], own, ['p3', 4, wrong], ['p4', 4])).toBe('p4');
  expect(await choose(['p1', 4, wrong], own, ['p3', 3])).toBe('p3');
  expect(await choose(own, ['p3', 4, wrong])).toBe('p3');
  expect(await choose(own)).toBe('p2');
  expect(await peerToCompare(query, { replica: bot, against: server }, 9)).toBe(server);
});
