import { type DragEvent, useEffect, useState } from 'react';
import { Stream } from '../stream/Stream.tsx';
import { InspectorTabs } from '../tabs/InspectorTabs.tsx';
import { Timeline } from '../timeline/Timeline.tsx';
import { Splitter } from '../ui/Splitter.tsx';
import { CopyContext } from '../ui/values.tsx';
import { Announcer } from './Announcer.tsx';
import { Header } from './Header.tsx';
import type { InspectorHost } from './host.ts';
import { HostContext } from './host-context.ts';
import { KeyHelp } from './KeyHelp.tsx';
import { isOwnKey, pressKey } from './keys.ts';
import { askBeforeLoss } from './loss.ts';
import { Notice, Notices } from './Notices.tsx';
import { everyFrame, runPlayback } from './player.ts';
import { RemoteContext } from './query.ts';
import { SaveDialog } from './SaveDialog.tsx';
import { runSession } from './session.ts';
import { getState, update, useApp, useView } from './store.ts';
import { Welcome } from './Welcome.tsx';

export function App({ host }: { readonly host: InspectorHost }) {
  useEffect(() => runSession(host), [host]);
  useEffect(() => runPlayback(host.remote, everyFrame), [host]);
  useEffect(() => {
    const handle = (event: KeyboardEvent) => {
      if (event.defaultPrevented || isOwnKey(event.target, event.key)) return;
      if (pressKey(host.remote, event)) event.preventDefault();
    };
    document.addEventListener('keydown', handle);
    return () => document.removeEventListener('keydown', handle);
  }, [host]);
  useEffect(() => (host.name === 'browser' ? askBeforeLoss() : undefined), [host]);
  return (
    <HostContext value={host}>
      <RemoteContext value={host.remote}>
        <CopyContext value={host.copy}>
          <Frame host={host} />
        </CopyContext>
      </RemoteContext>
    </HostContext>
  );
}

function Frame({ host }: { readonly host: InspectorHost }) {
  const isReady = useApp((state) => state.isReady);
  const [isOver, setOver] = useState(false);
  const { openFile } = host;
  const carriesFile = (event: DragEvent) => openFile !== undefined && event.dataTransfer.types.includes('Files');
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: a file may be dropped anywhere; Open does the same by keyboard
    <div
      className={isOver ? 'frame frame-over' : 'frame'}
      onDragOver={(event) => {
        if (!carriesFile(event)) return;
        event.preventDefault();
        setOver(true);
      }}
      onDragLeave={(event) => {
        if (event.currentTarget === event.target) setOver(false);
      }}
      onDrop={(event) => {
        setOver(false);
        const file = event.dataTransfer.files[0];
        if (!carriesFile(event) || !file) return;
        event.preventDefault();
        openFile?.(file);
      }}
    >
      <Header />
      <Notices />
      {isReady ? <Panes /> : <Welcome />}
      <Notice />
      <KeyHelp />
      <SaveDialog />
      <Announcer />
    </div>
  );
}

const TIMELINE_MIN = 72;
const STREAM_MIN = 0.2;
const STREAM_MAX = 0.8;

/** Sizes where a drag began. */
let grabbed = { timeline: 0, stream: 0 };
const grab = () => {
  grabbed = getState().view.sizes;
};

function Panes() {
  const timeline = useView((view) => view.sizes.timeline);
  const stream = useView((view) => view.sizes.stream);
  return (
    <main className="panes">
      <section className="timeline-pane" aria-label="Timeline" style={{ flexBasis: timeline }}>
        <Timeline />
      </section>
      <Splitter
        label="Height of the timeline"
        direction="row"
        value={timeline / 10}
        onBegin={grab}
        onMove={(delta, room) =>
          update((draft) => {
            draft.view.sizes.timeline = Math.max(TIMELINE_MIN, Math.min(grabbed.timeline + delta, room * 0.75));
          })
        }
      />
      <div className="lower">
        <section className="stream-pane" aria-label="Stream" style={{ flexBasis: `${stream * 100}%` }}>
          <Stream />
        </section>
        <Splitter
          label="Share of the stream"
          direction="auto"
          value={stream * 100}
          onBegin={grab}
          onMove={(delta, room) =>
            update((draft) => {
              const share = grabbed.stream + delta / Math.max(1, room);
              draft.view.sizes.stream = Math.max(STREAM_MIN, Math.min(share, STREAM_MAX));
            })
          }
        />
        <section className="tabs-pane" aria-label="Inspection">
          <InspectorTabs />
        </section>
      </div>
    </main>
  );
}
