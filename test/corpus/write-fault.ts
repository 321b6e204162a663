import { writeFileSync } from 'node:fs';
import { CaptureWriter, encodeTraceRecord, memorySink } from '@syncscope/protocol/capture';
import { recordFault } from './corpus.ts';

/** `node test/corpus/write-fault.ts FAULT SEED FILE`: one session of the fault corpus as a capture. */
const [name = '', seed = '1', file = ''] = process.argv.slice(2);
const { recording } = await recordFault(name, Number(seed), 60);
const sink = memorySink();
const writer = new CaptureWriter(sink, recording.header);
for (const one of recording.records) writer.append(encodeTraceRecord(one));
await writer.end();
writeFileSync(file, sink.bytes());
