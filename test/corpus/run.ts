import { parseArgs } from 'node:util';
import {
  alarmingParts,
  type CleanOutcome,
  diagnoseClean,
  diagnoseFault,
  diagnoseLookalike,
  LATENCIES,
  type LookalikeOutcome,
  type Outcome,
  type PartOutcome,
  silentParts,
  silentTogether,
} from './corpus.ts';
import { corpusFaults } from './faults.ts';
import { LOOKALIKES } from './lookalikes.ts';
import { matrixText, scores } from './matrix.ts';

/**
 * `node test/corpus/run.ts [--seeds 20] [--clean 200] [--from 1] [--only NAME] [--parts 0] [--pairs 0] [--json] [--verbose]`: makes the corpus, diagnoses it, prints
 * the matrix. Seeds begin at `from`. Of each session so many `parts` are diagnosed too, as captures that have only these; and of so many `pairs` of
 * faults in one session.
 */
const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '20' },
    clean: { type: 'string', default: '200' },
    from: { type: 'string', default: '1' },
    only: { type: 'string' },
    parts: { type: 'string', default: '0' },
    pairs: { type: 'string', default: '0' },
    json: { type: 'boolean', default: false },
    verbose: { type: 'boolean', default: false },
  },
});
const from = Number(values.from);
const faults = corpusFaults(() => 0).filter(({ name }) => values.only === undefined || name.includes(values.only));
const similar = LOOKALIKES.filter(({ name }) => values.only === undefined || name.includes(values.only));
const total = (faults.length + similar.length) * Number(values.seeds) * LATENCIES.length + Number(values.clean);
const outcomes: Outcome[] = [];
const lookalikes: LookalikeOutcome[] = [];
const clean: CleanOutcome[] = [];
const parts: PartOutcome[] = [];
const count = Number(values.parts);
for (const fault of faults) {
  for (let seed = from; seed < from + Number(values.seeds); seed++) {
    for (const latency of LATENCIES) outcomes.push(await diagnoseFault(fault, seed, latency));
    if (count > 0) parts.push(...(await silentParts(fault, seed, count)));
    tell();
  }
}
for (const one of similar) {
  for (let seed = from; seed < from + Number(values.seeds); seed++) {
    for (const latency of LATENCIES) lookalikes.push(await diagnoseLookalike(one, seed, latency));
    tell();
  }
}
for (let seed = from; seed < from + Number(values.clean); seed++) {
  clean.push(await diagnoseClean(seed));
  if (count > 0) parts.push(...(await alarmingParts(seed, count)));
  tell();
}
for (let seed = from; seed < from + Number(values.pairs); seed++) parts.push(...(await silentTogether(seed, count)));
if (process.stderr.isTTY) process.stderr.write('\r\u001b[K');
const sum = scores({ outcomes, clean, lookalikes, parts });
if (values.json) console.log(JSON.stringify(sum));
else console.log(matrixText({ outcomes, clean, lookalikes, parts }));
if (values.verbose) {
  for (const one of outcomes) if (one.said !== one.expected || !one.isExact || one.extra.length > 0) console.log(one);
  for (const one of parts) console.log(one);
  for (const one of [...clean, ...lookalikes])
    if (one.findings.length > 0) console.log(JSON.stringify(one, undefined, 1).slice(0, 3_000));
}
process.exitCode = sum.reached ? 0 : 1;

function tell(): void {
  if (process.stderr.isTTY)
    process.stderr.write(`\r${outcomes.length + lookalikes.length + clean.length} of ${total} sessions `);
}
