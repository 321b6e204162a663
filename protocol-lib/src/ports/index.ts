export * from './metrics.ts';
export * from './ports.ts';
export * from './random-of.ts';
