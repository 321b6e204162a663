import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { CaptureWriter, memorySink } from '../protocol-lib/src/capture/index.ts';
import { type MemoryFault, recordMemorySession } from '../protocol-lib/src/capture/memory-session.test-helper.ts';
import { zstdCompression } from '../protocol-lib/src/node/compression.ts';
import { seededRandom } from '../protocol-lib/src/ports/index.ts';
import { chooseDrift } from '../sample-server/src/faults/drift.ts';
import { SCENARIOS } from '../sample-server/src/scenarios/index.ts';

/**
 * Writes a capture of a session that never touched a socket: real replicas on a virtual clock, the same for the same seed.
 *
 *     node scripts/make-capture.ts OUT.mcap [--fault corrupt|drop-delta|flip|repeat-delta] [--target bot-2] [--at MS]
 *                                           [--bots N] [--seconds N] [--seed S] [--latency MS] [--plain]
 */
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    fault: { type: 'string' },
    target: { type: 'string', default: 'bot-2' },
    at: { type: 'string', default: '8000' },
    bots: { type: 'string', default: '4' },
    seconds: { type: 'string', default: '20' },
    seed: { type: 'string', default: '1' },
    latency: { type: 'string', default: '30' },
    plain: { type: 'boolean', default: false },
  },
});
const [path] = positionals;
const FAULTS: readonly string[] = ['corrupt', 'drop-delta', 'flip', 'repeat-delta'] satisfies MemoryFault['kind'][];
if (path === undefined || (values.fault !== undefined && !FAULTS.includes(values.fault))) {
  console.error(`usage: node scripts/make-capture.ts OUT.mcap [--fault ${FAULTS.join('|')}] [--target R] [--at MS] …`);
  process.exit(2);
}
const scenario = SCENARIOS.adventure!;
const { header, encoded } = recordMemorySession({
  definition: scenario.definition,
  asPlayed: scenario.asPlayed,
  scenario: scenario.title,
  seed: Number(values.seed),
  bots: Number(values.bots),
  length: Number(values.seconds) * 1_000,
  latency: Number(values.latency),
  play: (replica, random) => scenario.mind(replica, random),
  ...(values.fault === undefined
    ? {}
    : {
        fault: {
          kind: values.fault as MemoryFault['kind'],
          target: values.target,
          at: Number(values.at),
          choose: (view) => chooseDrift(view, seededRandom(Number(values.seed))).change,
        },
      }),
});
const sink = memorySink();
const writer = new CaptureWriter(sink, header, values.plain ? {} : { compression: zstdCompression });
for (const record of encoded) writer.append(record);
await writer.end();
writeFileSync(path, sink.bytes());
console.log(`${path}: ${encoded.length} records, ${sink.bytes().length} bytes`);
