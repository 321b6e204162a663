// `node test/vectors/generate.ts`: keeps the frames of new cases. What is kept already is never changed.
import { cases } from './cases.ts';
import { addVectors } from './vectors.ts';

const added = addVectors(import.meta.dirname, cases);
console.log(added.length === 0 ? 'every case is kept already' : `added ${added.join(', ')}`);
