import type { ServerOptions } from '@syncscope/sample-server';
import { startHouse } from './house.ts';

/** A server of the adventure as a program of its own, which can be killed: `node play-server.ts OPTIONS`. Prints where it is. */

const { url } = await startHouse(JSON.parse(process.argv[2] ?? '{}') as ServerOptions);
process.stdout.write(`${JSON.stringify({ url })}\n`);
