import { attach, fileSink, recordSession } from '@syncscope/protocol/node';

/** A recorder in a process of its own: records the session at URL with TOKEN to PATH until it is told to stop. */
const [url, token, path] = process.argv.slice(2);
if (url === undefined || token === undefined || path === undefined) throw new Error('name URL, TOKEN and PATH');
const recording = recordSession(await attach({ url, token }), await fileSink(path));
process.once('message', async () => {
  const { records, dropped, close } = await recording.stop();
  process.send?.({ type: 'stopped', records, dropped, wasHeard: close.kind === 'left' } satisfies RecorderMessage);
  process.disconnect();
});
process.send?.({ type: 'recording' } satisfies RecorderMessage);

/** What the recorder says. */
export type RecorderMessage =
  | { readonly type: 'recording' }
  | {
      readonly type: 'stopped';
      readonly records: number;
      readonly dropped: number;
      /** Whether the session told it all that there was until now. */
      readonly wasHeard: boolean;
    };
