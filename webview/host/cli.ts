#!/usr/bin/env node
import { EXIT, runCommand } from './main.ts';

// Whoever reads the answer, such as `head`, may have had enough of it.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit();
  console.error(`OUTPUT_FAILED: standard output cannot be written: ${error.message}`);
  process.exit(EXIT.unreadable);
});

process.exitCode = await runCommand(process.argv.slice(2));
