import { configureGlobal } from 'fast-check';

/** `SYNCSCOPE_RUNS=10000` makes every property that does not say otherwise run so often; `npm run soak` does. */
const runs = process.env.SYNCSCOPE_RUNS;
if (runs !== undefined) configureGlobal({ numRuns: Number(runs) });
