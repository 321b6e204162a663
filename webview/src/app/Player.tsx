import { STEP_UNITS } from '@syncscope/protocol/cursor';
import { formatCount, formatTime } from '../text/format.ts';
import { Dropdown, IconButton } from '../ui/controls.tsx';
import { setSpeed, setUnit, step, togglePlay, UNITS } from './player.ts';
import { useQuery, useRemote } from './query.ts';
import { SPEEDS, useApp, useView } from './store.ts';
import { stepMarker, toEnd, toStart } from './transport.ts';

const SPEED_CHOICES = SPEEDS.map((speed) => ({ value: String(speed), label: `${speed}×` }));
/** Markers have buttons of their own. */
const UNIT_CHOICES = STEP_UNITS.filter((unit) => unit !== 'marker').map((unit) => ({
  value: unit,
  label: `by ${UNITS[unit].label}`,
}));

/** The player: to any position, in both directions. */
export function Player() {
  const remote = useRemote();
  const isEmpty = useApp((state) => state.records === 0);
  const speed = useView((view) => view.speed);
  const unit = useView((view) => view.unit);
  const { label, keys } = UNITS[unit];
  return (
    <div className="transport" role="toolbar" aria-label="Playback">
      <IconButton icon="start" label="To the start (Home)" onPress={() => void toStart(remote)} isDisabled={isEmpty} />
      <IconButton
        icon="previousMarker"
        label="Previous marker (Alt ←)"
        onPress={() => void stepMarker(remote, -1)}
        isDisabled={isEmpty}
      />
      <IconButton
        icon="back"
        label={`One ${label} back (${keys[0]})`}
        onPress={() => void step(remote, -1, unit)}
        isDisabled={isEmpty}
      />
      <PlayButton isBackwards={true} isDisabled={isEmpty} />
      <PlayButton isBackwards={false} isDisabled={isEmpty} />
      <IconButton
        icon="forward"
        label={`One ${label} forward (${keys[1]})`}
        onPress={() => void step(remote, 1, unit)}
        isDisabled={isEmpty}
      />
      <IconButton
        icon="nextMarker"
        label="Next marker (Alt →)"
        onPress={() => void stepMarker(remote, 1)}
        isDisabled={isEmpty}
      />
      <IconButton icon="end" label="To the end (End)" onPress={() => void toEnd(remote)} isDisabled={isEmpty} />
      <Clock />
      <Dropdown label="Step" value={unit} choices={UNIT_CHOICES} onChoose={setUnit} />
      <Dropdown
        label="Speed"
        value={String(speed)}
        choices={SPEED_CHOICES}
        onChoose={(value) => setSpeed(Number(value))}
      />
    </div>
  );
}

function PlayButton({ isBackwards, isDisabled }: { readonly isBackwards: boolean; readonly isDisabled: boolean }) {
  const isOn = useApp((state) => state.playing && state.isBackwards === isBackwards);
  const name = isBackwards ? 'Play backwards' : 'Play';
  const key = isBackwards ? 'Shift Space' : 'Space';
  return (
    <IconButton
      icon={isOn ? 'pause' : isBackwards ? 'playBack' : 'play'}
      label={`${isOn ? 'Pause' : name} (${key})`}
      onPress={() => togglePlay(isBackwards)}
      isDisabled={isDisabled}
      isOn={isOn}
    />
  );
}

function Clock() {
  const playhead = useView((view) => view.playhead);
  const moment = useApp((state) => state.moment);
  const told = useQuery(['time', playhead], async (query) => (await query.record(playhead)).row.time, playhead >= 0);
  const start = useApp((state) => state.range.from);
  const time = moment ?? (playhead < 0 ? undefined : told.data);
  const text = time === undefined ? '–' : formatTime(Math.max(0, time - Math.min(0, start)));
  return (
    <output className="clock" title={playhead < 0 ? 'before the first record' : `record ${formatCount(playhead)}`}>
      {text}
    </output>
  );
}
