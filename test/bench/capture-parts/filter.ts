import { openCapture } from '@syncscope/protocol/capture';
import { fileSource } from '@syncscope/protocol/node';

/**
 * A search in a process of its own: opens the capture named and looks for what passes the filter, the first rows and then all, as the
 * table of the inspector does. Prints one line of JSON, times in milliseconds; `busy` is processor's time.
 */
const [path, filter, rows] = process.argv.slice(2);
if (path === undefined || filter === undefined) throw new Error('name a capture and a filter');
const wanted = Number(rows);
const source = await fileSource(path);
const capture = await openCapture(source);
const { range } = await capture.info();
await capture.overview(range, 1_000);
const cpu = process.cpuUsage();
const start = performance.now();
let found = await capture.rowsSoFar(filter, 0, wanted);
const first = performance.now() - start;
const { looked } = found;
if (found.rows.length < wanted) throw new Error(`only ${found.rows.length} rows came at once`);
while (found.looked < found.of) found = await capture.rowsSoFar(filter, 0, wanted);
const all = performance.now() - start;
const { user, system } = process.cpuUsage(cpu);
await source.close();
console.log(JSON.stringify({ first, looked, all, busy: (user + system) / 1_000, total: found.total }));
