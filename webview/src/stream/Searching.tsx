import { IconButton, Spinner } from '../ui/controls.tsx';

export interface SearchingProps {
  /** Records that have been looked through, of how many. */
  readonly looked: number;
  readonly of: number;
  readonly onStop: () => void;
}

/** That the rows shown are those found so far, and how far the search has come. */
export function Searching({ looked, of, onStop }: SearchingProps) {
  const percent = Math.floor((looked / of) * 100);
  return (
    <div className="waiting" role="progressbar" aria-label="Searching" aria-valuenow={percent}>
      <Spinner label="Searching" />
      <span className="muted">searched {percent} %</span>
      <IconButton icon="close" label="Stop searching" onPress={onStop} />
    </div>
  );
}
