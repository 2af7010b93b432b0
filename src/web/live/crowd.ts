/** The crowd's controls: a slider for a synthetic one, and recordings to replay. */

import { CROWD_MAX, positionOf, SLIDER_MAX, tapsAt } from './crowd-scale.ts';
import type { CrowdCommand, CrowdStatus } from './dev-api.ts';
import { changeCrowd } from './development.ts';
import { element, setAttribute, setState, setText } from './element.ts';

export interface CrowdPanel {
  readonly root: HTMLElement;
  update(status: CrowdStatus): void;
}

const SPEEDS = [1, 5, 20, 60];
/** While the slider moves, at most one command in so long. */
const SLIDE_MS = 150;
const FILE_BYTES_MAX = 8 * 1024 * 1024;

const whole = new Intl.NumberFormat('en');

export function createCrowdPanel(stream: string, onFailure: (message: string) => void): CrowdPanel {
  const slider = element('input', { type: 'range', id: 'crowd-rate', min: '0', max: String(SLIDER_MAX), step: '1', value: '0' });
  const rate = element('output', { for: 'crowd-rate', class: 'crowd-rate' }, 'nobody taps');
  const who = element('p', { class: 'crowd-who' });
  const final = element('button', { type: 'button', class: 'action' }, 'Replay a final');
  const file = element('input', { type: 'file', accept: '.csv,.gz,text/csv', class: 'file', id: 'recording' });
  const choose = element('label', { class: 'action', for: 'recording', title: 'Replay a recording: t_ms,viewer,emoji,count' }, 'CSV…');
  const speed = element('select', { 'aria-label': 'Speed of the replay' }, ...SPEEDS.map((times) => element('option', { value: String(times) }, `${times}×`)));
  const progress = element('progress', { class: 'crowd-progress', max: '1', 'aria-label': 'How far the replay is' });
  const root = element(
    'section',
    { class: 'panel crowd', 'aria-label': 'Crowd', 'data-state': 'off' },
    element('div', { class: 'panel-head' }, element('h2', {}, element('label', { for: 'crowd-rate' }, 'Crowd')), rate),
    slider,
    element('div', { class: 'actions' }, final, file, choose, speed),
    progress,
    who,
  );
  let slidAt = -Infinity;
  let slideTimer: number | null = null;
  /** What the service says of the time before a command must not move the slider back. */
  let commands = 0;
  let problem: string | null | undefined;

  function send(command: CrowdCommand): void {
    commands += 1;
    changeCrowd(command)
      .catch((error: unknown) => onFailure(`The crowd did not change: ${error instanceof Error ? error.message : String(error)}`))
      .finally(() => (commands -= 1));
  }

  function showRate(taps: number, isReplay = false): void {
    const quiet = isReplay ? 'a replay' : 'nobody taps';
    setText(rate, taps === 0 ? quiet : `${whole.format(taps)} taps/s`);
    setAttribute(slider, 'aria-valuetext', `${taps} taps a second`);
    root.style.setProperty('--filled', `${(100 * slider.valueAsNumber) / SLIDER_MAX}%`);
  }

  function slide(): void {
    showRate(tapsAt(slider.valueAsNumber));
    if (slideTimer !== null) return;
    slideTimer = window.setTimeout(() => {
      slideTimer = null;
      slidAt = performance.now();
      send({ stream, taps_per_second: tapsAt(slider.valueAsNumber) });
    }, Math.max(0, slidAt + SLIDE_MS - performance.now()));
  }

  async function replayFile(chosen: File): Promise<void> {
    if (chosen.size > FILE_BYTES_MAX) throw new Error(`${chosen.name} is larger than ${FILE_BYTES_MAX / 1024 / 1024} MiB; replay it with \`ovation load --trace\``);
    const csv = await textOf(chosen);
    send({ stream, replay: { csv, name: chosen.name.slice(0, 100), speed: Number(speed.value) } });
  }

  slider.addEventListener('input', slide);
  final.addEventListener('click', () => send(root.dataset['state'] === 'replay' ? { stream, taps_per_second: 0 } : { stream, replay: { speed: Number(speed.value) } }));
  file.addEventListener('change', () => {
    const chosen = file.files?.[0];
    file.value = '';
    if (chosen !== undefined) replayFile(chosen).catch((error: unknown) => onFailure((error as Error).message));
  });
  showRate(0);

  return {
    root,
    update(status) {
      setState(root, status.mode);
      setText(who, describeCrowd(status, stream));
      // What went wrong before the page was opened is no news.
      if (status.problem !== null && problem === null) onFailure(status.problem);
      problem = status.problem;
      setText(final, status.mode === 'replay' ? 'Stop the replay' : 'Replay a final');
      progress.hidden = status.replay === null;
      if (status.replay !== null) progress.value = status.replay.at_ms / Math.max(1, status.replay.length_ms);
      if (commands > 0 || slideTimer !== null || slider.matches(':active')) return;
      const taps = Math.min(status.taps_per_second, CROWD_MAX);
      slider.value = String(positionOf(taps));
      showRate(taps, status.mode === 'replay');
    },
  };
}

/** In words. Pure. */
export function describeCrowd({ mode, viewers, replay, problem, stream: played, tapped }: CrowdStatus, stream: string): string {
  if (problem !== null) return problem;
  const elsewhere = played !== null && played !== stream ? ` on stream ${played}` : '';
  if (mode === 'off') return 'Slide to fill the stands, in all regions at once.';
  if (mode === 'random') return `${whole.format(viewers)} viewers over all regions${elsewhere}`;
  const seconds = Math.round((replay?.at_ms ?? 0) / 1000);
  return `${replay?.name ?? ''} at ${replay?.speed ?? 1}×${elsewhere}: ${clock(seconds)}, ${whole.format(viewers)} viewers, ${whole.format(tapped)} taps`;
}

function clock(seconds: number): string {
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`;
}

async function textOf(file: File): Promise<string> {
  if (!file.name.endsWith('.gz')) return file.text();
  return new Response(file.stream().pipeThrough(new DecompressionStream('gzip'))).text();
}
