import { useEffect, useState } from 'react';
import { visible } from '../text/visible.ts';
import { Button, Spinner } from '../ui/controls.tsx';
import { Empty, placeOf } from '../ui/states.tsx';
import { ask } from './Header.tsx';
import type { OfferedSession } from './host.ts';
import { useHost } from './host-context.ts';
import { useApp } from './store.ts';

/** What is there before a capture is: why it is empty, and what to do. */
export function Welcome() {
  const host = useHost();
  const session = useApp((state) => state.session);
  const open = <Button label="Open a capture" kind="primary" onPress={() => void ask(() => host.open())} />;
  switch (session.state) {
    case 'opening':
    case 'open':
    case 'closed':
      return <Opening />;
    case 'failed':
      return (
        <main className="welcome">
          <Failure />
          {open}
        </main>
      );
    case 'none':
      return (
        <main className="welcome">
          {host.sessions ? <Sessions /> : null}
          <Empty title="No capture is open">
            <p>
              Open a <span className="mono">.mcap</span> file that was recorded with Syncscope
              {host.openFile ? ', or drop one here' : ''}.
            </p>
            {open}
            <p className="muted">
              To see a live session, run <span className="mono">npm start</span> and open the address that it prints.
            </p>
          </Empty>
        </main>
      );
  }
}

/** What was wrong with what was to be opened, where, and the way on. */
function Failure() {
  const session = useApp((state) => state.session);
  const error = useApp((state) => state.error);
  const isLive = session.source === 'live';
  const name = isLive ? 'The session' : baseName(session.title || session.place);
  return (
    <Empty title={`${visible(name)} could not be opened`}>
      {error && (
        <>
          <p role="alert">{visible(error.message)}</p>
          <p className="muted mono">
            {[error.code, visible(placeOf({ file: session.place, ...error.place }))].join(' · ')}
          </p>
        </>
      )}
      <p className="muted">
        {isLive
          ? 'Start it again and open the address that it prints, or look at a capture.'
          : 'Nothing was changed. Choose another file, or record the session again.'}
      </p>
    </Empty>
  );
}

/** The last part of a path of any system. */
function baseName(path: string): string {
  return path.split(/[\\/]/).findLast((part) => part !== '') ?? path;
}

const SHOW_AFTER_MS = 300;

function Opening() {
  const host = useHost();
  const session = useApp((state) => state.session);
  const [isSlow, setSlow] = useState(false);
  useEffect(() => {
    const timer = setTimeout(() => setSlow(true), SHOW_AFTER_MS);
    return () => clearTimeout(timer);
  }, []);
  if (!isSlow) return <main className="welcome" />;
  const share = session.progress === undefined ? '' : ` ${Math.round(session.progress * 100)} %`;
  return (
    <main className="welcome">
      <div className="opening" role="status">
        <Spinner label="Opening" />
        <span>
          Opening {visible(session.place)}
          {share}
        </span>
        {host.cancelOpening && session.state === 'opening' && (
          <Button label="Cancel" onPress={() => host.cancelOpening?.()} />
        )}
      </div>
    </main>
  );
}

function Sessions() {
  const host = useHost();
  const [sessions, setSessions] = useState<readonly OfferedSession[]>();
  const [failure, setFailure] = useState<string>();
  const [round, setRound] = useState(0);
  useEffect(() => {
    let isGone = false;
    host.sessions?.().then(
      (list) => {
        if (isGone) return;
        setSessions(list);
        setFailure(undefined);
      },
      (error: unknown) => !isGone && setFailure(error instanceof Error ? error.message : String(error)),
    );
    return () => {
      isGone = true;
    };
  }, [host, round]);
  return (
    <section className="sessions" aria-label="Running sessions">
      <h2>Running sessions</h2>
      {failure !== undefined && <p role="alert">{visible(failure)}</p>}
      {sessions?.length === 0 && (
        <p className="muted">
          None runs now. Start one with <span className="mono">npm start</span>.
        </p>
      )}
      <ul>
        {sessions?.map((session) => (
          <li key={session.id}>
            <button type="button" className="link" onClick={() => host.attach?.(session)}>
              {visible(session.title)}
            </button>{' '}
            <span className="muted">
              {visible(session.scenario)} · {visible(session.url)}
            </span>
          </li>
        ))}
      </ul>
      <Button label="Look again" onPress={() => setRound(round + 1)} />
    </section>
  );
}
