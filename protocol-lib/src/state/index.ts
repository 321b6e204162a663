export * from './records.ts';
export * from './schemas.ts';
