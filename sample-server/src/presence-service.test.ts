import { type ReplicaId, replicaId } from '@syncscope/protocol/state';
import type { Tap } from '@syncscope/protocol/trace';
import { expect, test } from 'vitest';
import { PresenceService } from './presence-service.ts';

const SECOND = 1_000_000_000;
const server = replicaId('server');
const phone = replicaId('phone');

function service() {
  const told: string[] = [];
  const reasons: string[] = [];
  let counter = 0;
  const tap: Tap = {
    isOpen: true,
    emit(replica, body) {
      if (body.kind === 'presence') {
        told.push(`${replica}: ${body.target} ${body.state}`);
        reasons.push(body.detail);
      }
      return told.length;
    },
  };
  const settled = (writer: ReplicaId) => (writer === phone ? counter : 0);
  const presence = new PresenceService({ tap, authority: server, settled });
  return { presence, told, reasons, act: () => counter++ };
}

const seen = (visit: string, version = 1) => ({ replica: phone, visit, version, metadata: { way: 'websocket' } });

test('who is connected is active, idle when it does nothing, then disconnected, and left in the end', () => {
  const { presence, told, act } = service();
  for (let second = 0; second <= 12; second++) presence.tick([seen('1', second)], second * SECOND);
  act();
  presence.tick([seen('1', 13)], 13 * SECOND);
  expect(presence.members(13 * SECOND)).toEqual([
    {
      replica: 'phone',
      user: 'phone',
      device: 'phone',
      state: 'active',
      since: 0,
      heard: 0,
      metadata: { way: 'websocket' },
      vector: [
        { replica: 'phone', counter: 1 },
        { replica: 'server', counter: 13 },
      ],
    },
  ]);
  for (let second = 14; second <= 40; second++) presence.tick([], second * SECOND);
  expect(told).toEqual([
    'server: phone joined',
    'server: phone idle',
    'server: phone active',
    'server: phone disconnected',
    'server: phone left',
  ]);
});

test('who says goodbye has left at once, which is no silence', () => {
  const { presence, told, reasons } = service();
  presence.tick([seen('1')], 0);
  presence.goodbye(phone, SECOND);
  presence.goodbye(replicaId('stranger'), SECOND);
  // Another gateway may not have heard of it yet.
  for (let second = 2; second < 8; second++)
    presence.tick([{ ...seen('elsewhere'), isHearsay: true }], second * SECOND);
  expect(told).toEqual(['server: phone joined', 'server: phone left']);
  expect(reasons.at(-1)).toBe('it said goodbye');
  presence.tick([seen('2')], 8 * SECOND);
  expect(told.at(-1)).toBe('server: phone joined');
});

test('who is heard and acknowledges nothing has a connection problem, and who is silent on an open connection is gone', () => {
  const { presence, told, reasons } = service();
  const link = (heard: number, agreed: number) => ({ ...seen('1'), heard: heard * SECOND, agreed: agreed * SECOND });
  for (let second = 0; second <= 4; second++) presence.tick([link(second, Math.min(second, 1))], second * SECOND);
  expect([told.at(-1), reasons.at(-1)]).toEqual(['server: phone problem', 'no acknowledgement for 3 s']);
  presence.tick([link(5, 5)], 5 * SECOND);
  expect([told.at(-1), reasons.at(-1)]).toEqual(['server: phone active', 'acknowledgement again']);
  for (let second = 6; second <= 40; second++) presence.tick([link(5, 5)], second * SECOND);
  expect(told.slice(3)).toEqual(['server: phone problem', 'server: phone disconnected', 'server: phone left']);
  // Somebody who was only unreachable is back, and not from the dead: it is a visit of its own.
  presence.tick([link(41, 41)], 41 * SECOND);
  expect(told.at(-1)).toBe('server: phone joined');
});

test('who comes back on another connection is a new session, and a device without one is seen when it asks', () => {
  const { presence, told } = service();
  presence.tick([seen('1')], 0);
  presence.tick([seen('2')], SECOND);
  for (let second = 2; second < 60; second++) {
    if (second > 50) presence.posted(seen('reconcile'));
    presence.tick([], second * SECOND);
  }
  expect(told).toEqual([
    'server: phone joined',
    'server: phone joined',
    'server: phone disconnected',
    'server: phone left',
    'server: phone joined',
  ]);
  presence.describe();
  expect(told.at(-1)).toBe('server: phone active');
});

test('who has come over from another gateway is one session, though the other still remembers it', () => {
  const { presence, told } = service();
  presence.tick([seen('elsewhere')], 0);
  for (let second = 1; second < 5; second++) presence.tick([seen('link 1'), seen('elsewhere')], second * SECOND);
  presence.posted(seen('reconcile'));
  presence.tick([seen('link 1')], 5 * SECOND);
  expect(told).toEqual(['server: phone joined', 'server: phone joined']);
});
