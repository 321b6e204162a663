import { readFileSync } from 'node:fs';
import { openCapture } from '@syncscope/protocol/capture';
import { fileSource } from '@syncscope/protocol/node';
import { seededRandom } from '@syncscope/protocol/ports';

/**
 * A reader in a process of its own, so that its memory is its own: opens the file named, asks for the first
 * overview, then goes about in it. Prints one line of JSON, times in milliseconds, memory in megabytes.
 */
const [path] = process.argv.slice(2);
if (path === undefined) throw new Error('name a capture');
const SEEKS = 200;

const start = performance.now();
const source = await fileSource(path);
const capture = await openCapture(source);
const info = await capture.info();
await capture.overview(info.range, 1_000);
const opened = performance.now() - start;
const random = seededRandom(5);
const times: number[] = [];
const busy: number[] = [];
for (let seek = 0; seek < SEEKS; seek++) {
  const position = Math.floor(random.next() * info.records);
  const before = performance.now();
  const cpu = process.cpuUsage();
  for (const { id } of info.replicas) {
    const { unknown } = await capture.state(id, position, '', 50);
    // Before its own first snapshot nothing is known of a replica.
    if (unknown !== undefined && position > 20) throw new Error(`position ${position} of ${id}: ${unknown}`);
  }
  times.push(performance.now() - before);
  const { user, system } = process.cpuUsage(cpu);
  busy.push((user + system) / 1_000);
  await capture.rows('', position, 40);
  const time = (info.range.to * position) / info.records;
  await capture.lanes({ from: time, to: time + 10e9 }, 1_000, 2_000);
}
await capture.lanes(info.range, 1_000, 2_000);
for (const list of [times, busy]) list.sort((a, b) => a - b);
const memory = peakMemory();
await source.close();
console.log(
  JSON.stringify({
    records: info.records,
    opened,
    p50: times[SEEKS / 2],
    p99: times[Math.floor(SEEKS * 0.99)],
    busy50: busy[SEEKS / 2],
    busy99: busy[Math.floor(SEEKS * 0.99)],
    memory,
  }),
);

/** Most that this process took, in megabytes. Linux counts into `maxRSS` what the process was before it became this program: the one that started it. */
function peakMemory(): number {
  if (process.platform !== 'linux') return process.resourceUsage().maxRSS / 1_024;
  const found = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'));
  if (!found) throw new Error('/proc/self/status does not tell the peak of memory');
  return Number(found[1]) / 1_024;
}
