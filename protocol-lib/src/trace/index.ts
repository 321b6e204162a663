export * from './attach.ts';
export * from './attach-frames.ts';
export * from './reconciliation-watch.ts';
export * from './records.ts';
export * from './tap.ts';
export * from './told-root.ts';
