/** The gateway by itself, for a session of an app's own. */
export { FaultBoard, type FaultBoardOptions } from './faults/fault-board.ts';
export { type DrainOptions, Gateway, type GatewayOptions } from './gateway.ts';
export { GATEWAY_LIMITS, type GatewayLimits } from './gateway-limits.ts';
