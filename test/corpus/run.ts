import { parseArgs } from 'node:util';
import { type CleanOutcome, diagnoseClean, diagnoseFault, LATENCIES, type Outcome } from './corpus.ts';
import { corpusFaults } from './faults.ts';
import { matrixText, scores } from './matrix.ts';

/** `node test/corpus/run.ts [--seeds 20] [--clean 200] [--only NAME] [--json]`: makes the corpus, diagnoses it, prints the matrix. */
const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '20' },
    clean: { type: 'string', default: '200' },
    only: { type: 'string' },
    json: { type: 'boolean', default: false },
    verbose: { type: 'boolean', default: false },
  },
});
const outcomes: Outcome[] = [];
for (const fault of corpusFaults(() => 0)) {
  if (values.only !== undefined && !fault.name.includes(values.only)) continue;
  for (let seed = 1; seed <= Number(values.seeds); seed++) {
    for (const latency of LATENCIES) outcomes.push(await diagnoseFault(fault, seed, latency));
  }
}
const clean: CleanOutcome[] = [];
for (let seed = 1; seed <= Number(values.clean); seed++) clean.push(await diagnoseClean(seed));
const sum = scores(outcomes, clean);
if (values.json) console.log(JSON.stringify(sum));
else console.log(matrixText(outcomes, clean));
if (values.verbose) {
  for (const one of outcomes) if (one.said !== one.expected || !one.isExact || one.extra.length > 0) console.log(one);
  for (const one of clean) if (one.findings.length > 0) console.log(JSON.stringify(one, undefined, 1).slice(0, 3_000));
}
process.exitCode = sum.reached ? 0 : 1;
