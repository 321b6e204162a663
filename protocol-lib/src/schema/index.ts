export * from './fit-text.ts';
export * from './schema.ts';
export * from './secret.ts';
