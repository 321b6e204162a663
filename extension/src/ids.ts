/**
 * Every id that the manifest and the code share, typed once. `ids.test.ts` holds the manifest to them.
 */

export const EXTENSION_ID = 'syncscope.syncscope';

export const COMMANDS = {
  startServer: 'syncscope.startServer',
  startServerWithFault: 'syncscope.startServerWithFault',
  startServerScenario: 'syncscope.startServerScenario',
  stopServer: 'syncscope.stopServer',
  attach: 'syncscope.attach',
  attachUrl: 'syncscope.attachUrl',
  detach: 'syncscope.detach',
  record: 'syncscope.record',
  stopRecording: 'syncscope.stopRecording',
  injectFault: 'syncscope.injectFault',
  openCapture: 'syncscope.openCapture',
  openSampleCapture: 'syncscope.openSampleCapture',
  exportCapture: 'syncscope.exportCapture',
  refresh: 'syncscope.refresh',
  showLog: 'syncscope.showLog',
} as const;
export type CommandId = (typeof COMMANDS)[keyof typeof COMMANDS];

export const CONTAINER = 'syncscope';

export const VIEWS = { sessions: 'syncscope.sessions', captures: 'syncscope.captures' } as const;

/** View type of the custom editor for capture files. */
export const CAPTURE_EDITOR = 'syncscope.capture';
/** View type of the panel on an attached session. */
export const LIVE_PANEL = 'syncscope.live';

export const SETTINGS = {
  captureFolder: 'syncscope.captureFolder',
  redactRecordings: 'syncscope.redactRecordings',
  bots: 'syncscope.sampleServer.bots',
  seed: 'syncscope.sampleServer.seed',
} as const;

/** Context keys that this extension sets for `when` clauses. */
export const CONTEXT_KEYS = {
  serverRunning: 'syncscope.serverRunning',
  attached: 'syncscope.attached',
  recording: 'syncscope.recording',
} as const;
export type ContextKey = (typeof CONTEXT_KEYS)[keyof typeof CONTEXT_KEYS];

/** `contextValue` of tree items, matched by the manifest's menus. */
export const TREE_ITEMS = {
  idle: 'session.idle',
  attached: 'session.attached',
  recording: 'session.recording',
  client: 'participant.client',
  server: 'participant.server',
  desync: 'desync',
  earlier: 'earlier',
  capture: 'capture',
} as const;

export const WALKTHROUGH = 'syncscope.start';
