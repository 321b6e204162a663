import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Server } from 'socket.io';
import { PLAYERS, ROUND_MS } from './messages.ts';
import { serve } from './serving.ts';

/** What an app on socket.io does at least: the whole state to a newcomer, and then what changed, each round to all. */
const state = Array.from({ length: PLAYERS }, () => ({ x: 0, y: 0, at: 0 }));
const changed = new Set<number>();

const http = createServer();
const io = new Server(http, { transports: ['websocket'], perMessageDeflate: false });
io.on('connection', (socket) => socket.emit('state', state));
setInterval(() => {
  if (changed.size === 0) return;
  io.emit(
    'changes',
    [...changed].map((player) => ({ player, ...state[player] })),
  );
  changed.clear();
}, ROUND_MS);
http.listen(0, '127.0.0.1', () => {
  serve(`http://127.0.0.1:${(http.address() as AddressInfo).port}`, (player, x, y, at) => {
    state[player] = { x, y, at };
    changed.add(player);
  });
});
