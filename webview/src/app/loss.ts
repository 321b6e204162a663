import { type AppState, getState } from './store.ts';

/**
 * Whether something would be gone for good with the page: a live session is captured in the page's memory alone. Who only follows loses
 * nothing that was looked at; who stopped at something, or whose session is over, does unless it was saved.
 */
export function wouldLose({ session, view, records, saved }: AppState): boolean {
  if (session.source !== 'live') return false;
  if (session.state === 'closed') return records > saved;
  return session.state === 'open' && !view.following && view.playhead >= saved;
}

/** Lets the browser ask before a page is left with which something would be lost. Returns what ends it. */
export function askBeforeLoss(): () => void {
  const ask = (event: BeforeUnloadEvent) => {
    if (wouldLose(getState())) event.preventDefault();
  };
  window.addEventListener('beforeunload', ask);
  return () => window.removeEventListener('beforeunload', ask);
}
