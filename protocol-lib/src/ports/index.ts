export * from './metrics.ts';
export * from './ports.ts';
