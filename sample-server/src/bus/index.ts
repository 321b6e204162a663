export * from './bus.ts';
export { type BusTest, type BusUnderTest, eventBusContract } from './contract.ts';
export { MemoryBus } from './memory-bus.ts';
export { BUS_SYNTAX, type OpenBusOptions, openBus } from './open-bus.ts';
export { openSharedLog, type SharedLog, type SharedLogOptions } from './shared-log.ts';
