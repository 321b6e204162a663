export * from './attach.ts';
export * from './records.ts';
export * from './tap.ts';
