import { surveySessions } from '@syncscope/protocol/node';
import { printDocument } from '../json.ts';
import { escapeText, table } from '../print.ts';

/** `sessions`: what runs and can be attached to. Discovery files that were not believed are named on stderr. */
export async function sessions(options: { readonly json?: boolean }): Promise<void> {
  const { sessions: found, problems } = await surveySessions();
  for (const problem of problems) console.error(`${problem.code}: ${escapeText(problem.message)}`);
  if (options.json) {
    // Without the tokens: this is printed into terminals and logs, and `record --session` needs only the id.
    printDocument('sessions', {
      sessions: found.map(({ id, title, scenario, url, pid, startedAt }) => ({
        id,
        title,
        scenario,
        url,
        pid,
        startedAt,
      })),
    });
    return;
  }
  if (found.length === 0) {
    console.log('No session is running. Start one with: npm start');
    return;
  }
  const rows = found.map(({ id, title, url, pid, startedAt }) => {
    return [id, title, url, String(pid), new Date(startedAt).toLocaleTimeString()];
  });
  console.log(table(['id', 'title', 'url', 'pid', 'since'], rows, ['pid']));
}
