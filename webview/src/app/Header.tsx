import type { Verdict } from '@syncscope/protocol/capture';
import { formatTime, plural } from '../text/format.ts';
import { visible } from '../text/visible.ts';
import { Button } from '../ui/controls.tsx';
import { Menu } from '../ui/Menu.tsx';
import { FilterBox } from './FilterBox.tsx';
import { FAULTS } from './faults.ts';
import type { InspectorHost } from './host.ts';
import { useHost } from './host-context.ts';
import { useLastDivergence } from './last-divergence.ts';
import { Player } from './Player.tsx';
import { useQuery, useRemote } from './query.ts';
import { save } from './SaveDialog.tsx';
import { notify, update, useApp, useView } from './store.ts';
import { goToVerdict } from './transport.ts';

/** Runs something that the host was asked for; its refusal is shown. */
export async function ask(action: () => Promise<void>, done?: string): Promise<void> {
  try {
    await action();
    if (done) notify(done);
  } catch (error) {
    notify(error instanceof Error ? error.message : String(error));
  }
}

export function Header() {
  const isReady = useApp((state) => state.isReady);
  return (
    <header className={isReady ? 'header' : 'header header-bare'}>
      <Title />
      <VerdictLine />
      {isReady && <FilterBox />}
      {isReady && <Player />}
      <SessionButtons />
    </header>
  );
}

function Title() {
  const session = useApp((state) => state.session);
  const records = useApp((state) => state.records);
  const info = useQuery(['replica-count'], async (query) => (await query.info()).replicas.length, true, records);
  const isLive = session.source === 'live' && session.state === 'open';
  const state = isLive ? 'live' : session.source === 'live' ? 'ended' : 'file';
  return (
    <div className="title" title={visible(`${session.place}${session.note ? `\n${session.note}` : ''}`)}>
      {session.state !== 'none' && (
        <span className={`source source-${state}`}>
          <span className="dot" aria-hidden="true" />
          {state}
        </span>
      )}
      <h1>{session.title ? visible(session.title) : 'Syncscope'}</h1>
      {info.data !== undefined && <span className="muted nowrap">{plural(info.data, 'replica')}</span>}
    </div>
  );
}

const VERDICT_SIGN: Readonly<Record<Verdict['level'], string>> = { quiet: '✓', warning: '△', error: '▲' };

/** Always there: how things stand at the playhead. A click goes to where it began. */
function VerdictLine() {
  const remote = useRemote();
  const playhead = useView((view) => view.playhead);
  const status = useQuery(['status', playhead], (query) => query.status(playhead), playhead >= 0);
  const verdict = status.data?.verdict;
  if (!verdict) return <div className="verdict" />;
  const { level, text, position } = verdict;
  return (
    <>
      <button
        type="button"
        className={`verdict verdict-${level}`}
        disabled={position === undefined}
        title={visible(text)}
        onClick={() => position !== undefined && void goToVerdict(remote, position)}
      >
        <span aria-hidden="true">{VERDICT_SIGN[level]}</span> {visible(text)}
      </button>
      {level !== 'error' && <Earlier playhead={playhead} />}
    </>
  );
}

/** All is well here, and it was not before: a divergence that was repaired is over in a moment, and must not be missed. */
function Earlier({ playhead }: { readonly playhead: number }) {
  const remote = useRemote();
  const marker = useLastDivergence(playhead + 1);
  if (!marker) return null;
  const { replica, text, time, position } = marker;
  return (
    <button
      type="button"
      className="earlier"
      title={`Earlier, at ${formatTime(time)}: ${visible(text)}. Show its cause`}
      onClick={() => void goToVerdict(remote, position)}
    >
      <span aria-hidden="true">{VERDICT_SIGN.error}</span> earlier: {visible(replica)}
    </button>
  );
}

/** VS Code has a dialog and a setting of its own. */
function askToSave({ name, remote }: InspectorHost): void {
  if (name === 'vscode') void ask(() => save(remote));
  else
    update((draft) => {
      draft.saveOpen = true;
    });
}

function SessionButtons() {
  const host = useHost();
  const session = useApp((state) => state.session);
  const isLive = session.source === 'live';
  const isOpen = session.state === 'open';
  return (
    <div className="session-buttons">
      {isLive && isOpen && session.mayInject && (
        <Menu
          label="Fault…"
          title="Ask one replica for trouble"
          sections={FAULTS.map((fault) => ({
            title: fault.title,
            detail: fault.detail,
            items: (fault.isForAll ? session.targets.slice(0, 1) : session.targets).map((target) => {
              const whom = fault.isForAll ? 'everybody' : visible(target);
              return {
                id: target,
                label: whom,
                onPress: () =>
                  void ask(async () => {
                    for (const spec of fault.specs(target)) await host.remote.command({ command: 'fault', spec });
                  }, `${fault.title}, ${whom}: ${fault.detail}`),
              };
            }),
          }))}
        />
      )}
      {isLive && isOpen && (
        <Button
          label="Stop"
          title="Leave the session; what was captured stays"
          onPress={() => void ask(() => host.remote.command({ command: 'stop' }))}
        />
      )}
      {isLive && session.state !== 'none' && (
        <Button label="Save" title="Keep what was captured as a .mcap file" onPress={() => askToSave(host)} />
      )}
      <Button label="Open" title="Open a capture file" onPress={() => void ask(() => host.open())} />
    </div>
  );
}
