/**
 * The sample server as the extension starts it: its own command line, and an end when the extension host is gone,
 * however that ended. The signal lets it take back its discovery file.
 */
process.once('disconnect', () => process.kill(process.pid, 'SIGTERM'));

await import('../../../sample-server/src/cli.ts');
