import { defineConfig } from 'vitest/config';
import { LongFirst } from './scripts/long-first.ts';

/** Three suites, so that a developer may run one alone: `vitest run --project unit`. */
export default defineConfig({
  test: {
    maxWorkers: 2,
    sequence: { sequencer: LongFirst },
    projects: [
      {
        extends: true,
        test: {
          // Beside the code that they test.
          name: 'unit',
          include: ['{protocol-lib,sample-server,webview,extension,scripts}/**/*.test.{ts,tsx}'],
          exclude: ['**/node_modules/**', '**/dist/**', '**/out/**', 'extension/src/test/**'],
          setupFiles: ['scripts/fast-check-runs.ts'],
          // Files share a process and its modules: to start one and load them took more than most files' tests. A test leaves nothing behind in them.
          isolate: false,
          testTimeout: 30_000,
        },
      },
      {
        extends: true,
        test: {
          // Across packages, with real processes, sockets and files.
          name: 'real',
          include: ['test/**/*.test.ts'],
          exclude: ['**/node_modules/**', 'test/browser/**', 'test/vscode/**'],
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
      {
        extends: true,
        test: {
          // The inspector in a real Chromium.
          name: 'browser',
          include: ['test/browser/**/*.test.ts'],
          fileParallelism: false,
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
    ],
  },
});
