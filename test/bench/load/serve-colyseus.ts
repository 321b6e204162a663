import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Room, Server } from '@colyseus/core';
import { MapSchema, type SchemaType, schema, t } from '@colyseus/schema';
import { WebSocketTransport } from '@colyseus/ws-transport';
import { PLAYERS, ROUND_MS } from './messages.ts';
import { serve } from './serving.ts';

const Player = schema({ x: t.number(), y: t.number(), at: t.float64() });
const State = schema({ players: t.map(Player) });
type State = SchemaType<typeof State>;

let shared: State | undefined;

class Places extends Room<{ state: State }> {
  override maxClients = 4_000;
  override patchRate = ROUND_MS;

  override onCreate(): void {
    this.state = new State();
    this.state.players = new MapSchema<SchemaType<typeof Player>>();
    for (let index = 0; index < PLAYERS; index++) {
      const player = new Player();
      player.x = 0;
      player.y = 0;
      player.at = 0;
      this.state.players.set(String(index), player);
    }
    shared = this.state;
  }
}

const http = createServer();
const server = new Server({ transport: new WebSocketTransport({ server: http }), greet: false });
server.define('places', Places);
await server.listen(0, '127.0.0.1');
serve(`http://127.0.0.1:${(http.address() as AddressInfo).port}`, (index, x, y, at) => {
  const player = shared?.players.get(String(index));
  if (player) Object.assign(player, { x, y, at });
});
