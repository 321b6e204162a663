import { test } from 'vitest';
import { MemoryStore } from './memory-store.ts';
import { storeContract } from './store-contract.ts';

for (const { name, run } of storeContract({ create: (name) => new MemoryStore(name) })) test(name, run);
