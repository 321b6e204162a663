export * from './version-vector.ts';
