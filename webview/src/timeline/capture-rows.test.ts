import type { Row, RowsPage } from '@syncscope/protocol/capture';
import { replicaId } from '@syncscope/protocol/state';
import { expect, it } from 'vitest';
import { captureRows } from './capture-rows.ts';

/** A live capture that has let go of all before `start`: positions stay, offsets begin after them. */
function growing(end: number) {
  const capture = {
    start: 0,
    asked: 0,
    async rows(_filter: string, offset: number, limit: number): Promise<RowsPage> {
      capture.asked++;
      const rows: Row[] = [];
      for (let position = capture.start + offset; position < end && rows.length < limit; position++) {
        rows.push({
          position,
          seq: position + 1,
          time: position,
          replica: replicaId('bot-1'),
          kind: 'log',
          summary: '',
          bytes: 0,
          severity: 'none',
        });
      }
      return { rows, offset, total: end - capture.start };
    },
  };
  return capture;
}

it('finds a record by its position, and keeps it', async () => {
  const capture = growing(100);
  const rows = captureRows(capture);
  expect((await rows.at(40))?.position).toBe(40);
  expect((await rows.at(40))?.position).toBe(40);
  expect(capture.asked).toBe(1);
  expect([await rows.at(-1), await rows.at(100)]).toEqual([undefined, undefined]);
});

it('still finds it after the oldest records have gone, and nothing for those', async () => {
  const capture = growing(100);
  const rows = captureRows(capture);
  await rows.at(99);
  capture.start = 60;
  expect((await rows.at(70))?.position).toBe(70);
  expect((await rows.at(60))?.position).toBe(60);
  expect(await rows.at(59)).toBeUndefined();
  capture.start = 90;
  expect((await rows.at(95))?.position).toBe(95);
});
