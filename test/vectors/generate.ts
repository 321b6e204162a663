// `node test/vectors/generate.ts`: keeps the frames of new cases, and writes what the library exports. What is kept already is never changed.
import { writeFileSync } from 'node:fs';
import { basename, resolve } from 'node:path';
import { cases } from './cases.ts';
import { addVectors, exportedVectors, versionFolders } from './vectors.ts';

const home = import.meta.dirname;
const added = addVectors(home, cases);
console.log(added.length === 0 ? 'every case is kept already' : `added ${added.join(', ')}`);
for (const folder of versionFolders(home)) {
  writeFileSync(resolve(home, '../../protocol-lib/vectors', `${basename(folder)}.json`), exportedVectors(folder));
}
