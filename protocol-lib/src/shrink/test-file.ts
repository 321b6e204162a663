import { type FindingIdentity, identityText } from './found.ts';

/** What runs the written test: `node --test FILE`, or `vitest run FILE`. */
export type TestRunner = 'node' | 'vitest';

/** A test that opens the capture beside it and fails where that no longer shows the finding. */
export function testFileText(finding: FindingIdentity, capture: string, from: string, runner: TestRunner): string {
  const title = `${from} still shows ${identityText(finding)}`;
  return `import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
${runner === 'node' ? "import { test } from 'node:test';" : "import { test } from 'vitest';"}
import { memorySource, openCapture } from '@syncscope/protocol/capture';
import { findingsOf, isSameFinding, targetsOf } from '@syncscope/protocol/shrink';

// Written by syncscope shrink. It fails with a recording of a session in which the fault has been put right.
const expected = ${literal(finding)};

test(${literal(title)}, async () => {
  const bytes = await readFile(new URL(${literal(`./${capture}`)}, import.meta.url));
  const capture = await openCapture(memorySource(bytes));
  try {
    const found = targetsOf(await findingsOf(capture)).map(({ identity }) => identity);
    assert.ok(found.some((one) => isSameFinding(one, expected)), \`found \${JSON.stringify(found)}\`);
  } finally {
    await capture.close();
  }
});
`;
}

/** As JavaScript source. Text of a capture is data: what could end a line or a string is escaped. */
function literal(value: unknown): string {
  return JSON.stringify(value).replace(
    /[\u007f-\uffff]/g,
    (one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
