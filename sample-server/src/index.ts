export { type PlannedFault, parseFaults } from './faults/specs.ts';
export { SCENARIOS } from './scenarios/index.ts';
export { type RunningServer, type ServerOptions, startServer } from './server.ts';
export { SyncClient, type SyncClientOptions } from './sync-client.ts';
