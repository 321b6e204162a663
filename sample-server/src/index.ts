export { SyncClient, type SyncClientOptions } from '@syncscope/protocol/node';
export { type PlannedFault, parseFaults } from './faults/specs.ts';
export type { RunningPeers } from './peers/peer-server.ts';
export { PEER_SCENARIOS, SCENARIO_NAMES, SCENARIOS } from './scenarios/index.ts';
export { type RunningServer, type ServerOptions, startServer } from './server.ts';
export { isPeers, type SessionOptions, startSession } from './session.ts';
