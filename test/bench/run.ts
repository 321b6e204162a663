import { readdirSync } from 'node:fs';
import { parseArgs } from 'node:util';
import type { Bench, Figure } from './types.ts';

/**
 * Runs every benchmark of this folder, one after the other, and prints a table; with `--json` one line a figure:
 * `{"name","value","unit","peer","ratio"}`. `--only NAME` picks by whole name or by what stands before a dot of it, and may be repeated.
 * What takes minutes runs only where it is named whole, or with `--full`.
 */
const { values } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    full: { type: 'boolean', default: false },
    only: { type: 'string', multiple: true, default: [] },
  },
});

const chosen = (await loadBenches()).filter(
  (bench) =>
    values.only.includes(bench.name) ||
    ((values.full || !bench.isLong) &&
      (values.only.length === 0 || values.only.some((only) => bench.name.startsWith(`${only}.`)))),
);
if (chosen.length === 0) {
  console.error(`no benchmark is named, or begins with, ${values.only.join(' or ')}`);
  process.exit(2);
}

const figures: Figure[] = [];
for (const bench of chosen) {
  process.stderr.write(`${bench.name} …\n`);
  const measured = await bench.run();
  figures.push(...measured);
  if (values.json) for (const figure of measured) console.log(jsonLine(figure));
}
if (!values.json) console.log(table(figures));

async function loadBenches(): Promise<Bench[]> {
  const files = readdirSync(import.meta.dirname)
    .filter((file) => file.endsWith('.ts') && file !== 'run.ts' && file !== 'types.ts')
    .sort();
  const benches: Bench[] = [];
  for (const file of files) {
    const module: { readonly benches?: readonly Bench[] } = await import(`./${file}`);
    benches.push(...(module.benches ?? []));
  }
  return benches;
}

function jsonLine({ name, value, unit, peer, ratio }: Figure): string {
  return JSON.stringify({ name, value, unit, peer, ratio });
}

function table(rows: readonly Figure[]): string {
  const cells = [
    ['name', 'value', 'unit', 'ratio', 'peer', 'note'],
    ...rows.map((row) => [
      row.name,
      significant(row.value),
      row.unit,
      row.ratio === null ? '' : significant(row.ratio),
      row.peer ?? '',
      row.note ?? '',
    ]),
  ];
  const widths = cells[0]!.map((_, column) => Math.max(...cells.map((line) => line[column]!.length)));
  const isNumber = (column: number) => column === 1 || column === 3;
  return cells
    .map((line) =>
      line
        .map((cell, column) => (isNumber(column) ? cell.padStart(widths[column]!) : cell.padEnd(widths[column]!)))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

/** Three significant digits, thousands grouped, never in exponents. */
function significant(value: number): string {
  return value.toLocaleString('en-US', { maximumSignificantDigits: 3 });
}
